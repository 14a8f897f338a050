const NEWLINE = 0x0a;
const LONGEST_LINE = 4096;

/** Bytes for the person, handed on in lines; what is left goes out when the run comes back. */
export class OutputBuffer {
  private bytes: number[] = [];
  private readonly listeners: ((bytes: Uint8Array) => void)[] = [];

  listen(listener: (bytes: Uint8Array) => void): () => void {
    this.listeners.push(listener);
    return () => {
      const at = this.listeners.indexOf(listener);
      if (at >= 0) this.listeners.splice(at, 1);
    };
  }

  add(byte: number): void {
    this.bytes.push(byte);
    if (byte === NEWLINE || this.bytes.length === LONGEST_LINE) this.flush();
  }

  flush(): void {
    if (this.bytes.length === 0) return;
    const bytes = Uint8Array.from(this.bytes);
    this.bytes = [];
    for (const listener of this.listeners) listener(bytes);
  }
}
