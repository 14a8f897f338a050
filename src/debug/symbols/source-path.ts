/** Gives the path of a source file on the person's machine, from what the debug information recorded. */
export type ResolveSource = (compilationDirectory: string, name: string) => string;

/** Joins recorded paths: `name` alone when it is absolute. Neither has to exist anywhere. */
export const joinSource: ResolveSource = (directory, name) =>
  normal(isAbsolute(name) || directory === "" ? name : `${directory}/${name}`);

export function isAbsolute(path: string): boolean {
  return /^([/\\]|[a-z]:[/\\])/i.test(path);
}

/** Forward slashes, without `.` and with `..` taken back where there is something to take back. */
export function normal(path: string): string {
  const slashes = path.replaceAll("\\", "/");
  const parts: string[] = [];
  for (const part of slashes.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return (slashes.startsWith("/") ? "/" : "") + parts.join("/");
}
