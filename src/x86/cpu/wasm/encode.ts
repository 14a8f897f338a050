import { ByteSink, type Code, uleb } from "./code";

/** Parameter and result types of a function, as value-type bytes. */
export interface Signature {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

interface FunctionBody {
  readonly type: number;
  readonly locals: readonly number[];
  body: Code;
}

const text = (value: string): number[] => {
  const bytes = [...value].map((char) => char.charCodeAt(0));
  return [...uleb(bytes.length), ...bytes];
};

/** One section: id, length in bytes, count, items. */
function section(into: ByteSink, id: number, items: readonly Code[]): void {
  if (items.length === 0) return;
  const content = new ByteSink().code(uleb(items.length));
  for (const item of items) content.code(item);
  into.push(id);
  into.code(uleb(content.length)).append(content);
}

const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/**
 * Builds one module: function imports from `env`, one imported memory, functions, one table.
 * Import indices come first, so all imports are declared before the first function.
 */
export class ModuleBuilder {
  private readonly types: Signature[] = [];
  private readonly imports: { name: string; type: number }[] = [];
  private readonly functions: FunctionBody[] = [];
  private readonly exports: { name: string; index: number }[] = [];
  private table: readonly number[] = [];

  type(signature: Signature): number {
    const key = JSON.stringify(signature);
    const found = this.types.findIndex((type) => JSON.stringify(type) === key);
    return found >= 0 ? found : this.types.push(signature) - 1;
  }

  import(name: string, signature: Signature): number {
    return this.imports.push({ name, type: this.type(signature) }) - 1;
  }

  /** Reserves an index; the body may come later through `define`. */
  declare(signature: Signature): number {
    this.functions.push({ type: this.type(signature), locals: [], body: [] });
    return this.imports.length + this.functions.length - 1;
  }

  /** `locals`: value types after the parameters. */
  define(index: number, locals: readonly number[], body: Code): void {
    const at = index - this.imports.length;
    this.functions[at] = { ...this.functions[at]!, locals, body };
  }

  export(name: string, index: number): void {
    this.exports.push({ name, index });
  }

  /** Functions of table 0, from slot 0. */
  setTable(functions: readonly number[]): void {
    this.table = functions;
  }

  /** The binary. The memory is `env.memory`, at least `pages` pages. */
  build(pages: number): Uint8Array<ArrayBuffer> {
    const slots = this.table.length;
    const module = new ByteSink().code(MAGIC_AND_VERSION);
    const types = this.types.map(
      ({ params, results }): Code => [
        0x60,
        uleb(params.length),
        params,
        uleb(results.length),
        results,
      ],
    );
    section(module, 1, types);
    section(module, 2, [
      [text("env"), text("memory"), 0x02, 0x00, uleb(pages)],
      ...this.imports.map(({ name, type }) => [text("env"), text(name), 0x00, uleb(type)]),
    ]);
    section(
      module,
      3,
      this.functions.map(({ type }) => uleb(type)),
    );
    section(module, 4, slots ? [[0x70, 0x00, uleb(slots)]] : []);
    section(
      module,
      7,
      this.exports.map(({ name, index }) => [text(name), 0x00, uleb(index)]),
    );
    section(module, 9, slots ? [[0x00, 0x41, 0x00, 0x0b, uleb(slots), this.table.map(uleb)]] : []);
    this.codeSection(module);
    return module.view().slice();
  }

  /** Function bodies are big: collected bytewise, not as nested arrays. */
  private codeSection(module: ByteSink): void {
    const content = new ByteSink().code(uleb(this.functions.length));
    for (const { locals, body } of this.functions) {
      const code = new ByteSink().code(localGroups(locals)).code(body);
      code.push(0x0b);
      content.code(uleb(code.length)).append(code);
    }
    module.push(10);
    module.code(uleb(content.length)).append(content);
  }
}

/** Local declarations, runs of one type together. */
function localGroups(locals: readonly number[]): Code {
  const groups: { count: number; type: number }[] = [];
  for (const type of locals) {
    const last = groups.at(-1);
    if (last?.type === type) last.count++;
    else groups.push({ count: 1, type });
  }
  return [uleb(groups.length), groups.map(({ count, type }) => [uleb(count), type])];
}
