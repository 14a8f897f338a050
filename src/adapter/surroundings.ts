/** What the adapter needs of the program it lives in: an editor's worker, the command line, a test. */
export interface Surroundings {
  /** Rejects with a reason a person can read ("no such file"). */
  readFile(path: string): Promise<Uint8Array>;
  /** True for a file that can be opened; used to find sources named relatively. */
  fileExists(path: string): Promise<boolean>;
  /** Runs `work` once all waiting messages have been handled. */
  defer(work: () => void): void;
}
