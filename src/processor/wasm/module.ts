import { Code } from './code.ts';

export interface FunctionType {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
}

export interface ModuleParts {
  /** Type of the functions that are called through the imported table `env.table`, where the module wants one. */
  readonly tableType?: FunctionType;
  /** Indices of functions that are called through a table of the module's own, by their places in it. All have the same type. */
  readonly ownTable?: readonly number[];
  /** Imported functions from module `env`, in index order. */
  readonly imports: readonly { readonly name: string; readonly type: FunctionType }[];
  readonly functions: readonly {
    readonly name: string;
    /** Not exported. */
    readonly isInternal?: boolean;
    readonly type: FunctionType;
    /** Types of the locals after the parameters, as runs. */
    readonly locals: readonly { readonly count: number; readonly type: number }[];
    /** Body without the final `end`. */
    readonly body: Code;
  }[];
}

function section(out: Code, id: number, content: Code): void {
  out.op(id).u(content.length).append(content);
}

function name(out: Code, text: string): void {
  const bytes = new TextEncoder().encode(text);
  out.u(bytes.length).op(...bytes);
}

/** Number of the module's own table, when there is an imported one too. */
export const OWN_TABLE = 1;

/** Index of the type that {@link ModuleParts.tableType} gets, for `call_indirect`. */
export function tableTypeIndex(importCount: number, functionCount: number): number {
  return importCount + functionCount;
}

/** Builds a module that imports `env.memory` and the named functions, and exports its functions. */
export function buildModule(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const out = new Code();
  out.op(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);

  const all = [...parts.imports.map((item) => item.type), ...parts.functions.map((item) => item.type)];
  if (parts.tableType) all.push(parts.tableType);
  const types = new Code().u(all.length);
  for (const type of all) {
    types
      .op(0x60)
      .u(type.parameters.length)
      .op(...type.parameters);
    types.u(type.results.length).op(...type.results);
  }
  section(out, 1, types);

  const imports = new Code().u(parts.imports.length + (parts.tableType ? 2 : 1));
  name(imports, 'env');
  name(imports, 'memory');
  imports.op(0x02, 0x00).u(1);
  parts.imports.forEach((item, index) => {
    name(imports, 'env');
    name(imports, item.name);
    imports.op(0x00).u(index);
  });
  if (parts.tableType) {
    name(imports, 'env');
    name(imports, 'table');
    imports.op(0x01, 0x70, 0x00).u(0);
  }
  section(out, 2, imports);

  const functions = new Code().u(parts.functions.length);
  parts.functions.forEach((_, index) => {
    functions.u(parts.imports.length + index);
  });
  section(out, 3, functions);

  const { ownTable } = parts;
  if (ownTable) section(out, 4, new Code().u(1).op(0x70, 0x00).u(ownTable.length));

  const exported = [...parts.functions.entries()].filter(([, item]) => !item.isInternal);
  const exports = new Code().u(exported.length);
  exported.forEach(([index, item]) => {
    name(exports, item.name);
    exports.op(0x00).u(parts.imports.length + index);
  });
  section(out, 7, exports);

  if (ownTable) {
    // One active segment, for the own table from place 0 on.
    const elements = new Code().u(1).u(2).u(OWN_TABLE).i32(0).op(0x0b, 0x00).u(ownTable.length);
    for (const index of ownTable) elements.u(index);
    section(out, 9, elements);
  }

  const bodies = parts.functions.map((item) => {
    const body = new Code().u(item.locals.length);
    for (const run of item.locals) body.u(run.count).op(run.type);
    return body.append(item.body).op(0x0b);
  });
  branchHints(out, bodies, parts.imports.length);
  const codes = new Code().u(parts.functions.length);
  for (const body of bodies) codes.u(body.length).append(body);
  section(out, 10, codes);
  return out.bytes.slice();
}

/** The custom section that says which branches are hardly ever taken (WebAssembly branch hinting proposal). */
function branchHints(out: Code, bodies: readonly Code[], firstFunction: number): void {
  const hinted = [...bodies.entries()].filter(([, { unlikely }]) => unlikely.length > 0);
  if (hinted.length === 0) return;
  const content = new Code();
  name(content, 'metadata.code.branch_hint');
  content.u(hinted.length);
  for (const [index, { unlikely }] of hinted) {
    content.u(firstFunction + index).u(unlikely.length);
    // Offset in the function's body, one byte of hint: 0, not taken.
    for (const at of unlikely.sort((a, b) => a - b)) content.u(at).u(1).u(0);
  }
  section(out, 0, content);
}
