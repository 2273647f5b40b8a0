/**
 * What the debugger asks of debug information, whether it comes from DWARF, from an ELF symbol table or from the assembler.
 * Addresses are linear addresses in the guest (bigint). Paths are as the debug information has them, made absolute with
 * its compilation directory.
 */

export interface SourcePosition {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** From 1; undefined where the producer gives none. */
  readonly column?: number;
}

/** A function, or a label that code hangs on. `high` is exclusive. */
export interface FunctionInfo {
  readonly name: string;
  readonly low: bigint;
  readonly high: bigint;
  readonly declaration?: SourcePosition;
  /** First address after the prologue: where a function breakpoint goes. */
  readonly bodyStart: bigint;
}

/** A range of code that belongs to one line. `high` is exclusive. */
export interface LineRange {
  readonly low: bigint;
  readonly high: bigint;
  readonly position: SourcePosition;
  readonly isStatement: boolean;
}

/** Registers of a frame by DWARF number (x86-64: 0 RAX, 1 RDX, 2 RCX, 3 RBX, 4 RSI, 5 RDI, 6 RBP, 7 RSP, 8–15, 16 return address). */
export interface FrameRegisters {
  get(dwarfRegister: number): bigint | undefined;
  /** The frame was interrupted, not left by a call: its pc is the instruction that it stands at. */
  readonly isInterrupted?: boolean;
  /** There was no unwind information: the frame pointer was believed. */
  readonly isGuessed?: boolean;
}

/** Reads guest memory without side effects; undefined where it can't be read. */
export type MemoryReader = (address: bigint, length: number) => Uint8Array | undefined;

/** Where and as what a frame is: given to variables and to the evaluator. */
export interface FrameContext {
  readonly pc: bigint;
  readonly registers: FrameRegisters;
  readonly memory: MemoryReader;
  /** Bytes of a pointer in the code's mode: 4 or 8 (2 in real mode). */
  readonly pointerSize: number;
  /** The frame is in the middle of a call: `pc` is a return address, and the call before it is what counts. */
  readonly isCaller?: boolean;
  /** Not the newest frame: its registers are what unwinding says. */
  readonly isOuter?: boolean;
  /** A register by its name in lower case (`rax`, `cr3`), for `$rax` in expressions. */
  readonly namedRegister?: (name: string) => bigint | undefined;
  /** Linear address of the stack segment and of the code segment, where they aren't 0. */
  readonly stackBase?: bigint;
  readonly codeBase?: bigint;
}

/** One inlined call at an address, innermost first. */
export interface InlineFrame {
  readonly name: string;
  readonly callSite: SourcePosition;
  readonly low: bigint;
}

/** A value of the guest's language, ready to be shown. */
export interface TypedValue {
  readonly typeName: string;
  /** As a C debugger prints it: `42`, `0x401000 "hello"`, `{x = 1, y = 2}`. */
  readonly text: string;
  /** Where it lies in memory, if it does. */
  readonly address?: bigint;
  readonly byteSize: number;
  /** Whether `children()` gives any. */
  readonly hasChildren: boolean;
  /** Members, elements or what is pointed at: fetched only when asked. */
  children(
    start?: number,
    count?: number,
  ): readonly { readonly name: string; readonly value: TypedValue; readonly expression: string }[];
  readonly childCount: number;
  /** The bytes to store for an assignment of a scalar; throws EvaluationError when the text is not a value of the type. */
  encode?(text: string): Uint8Array;
  /** The DWARF register that holds it, if it is in one. */
  readonly register?: number;
  /** The address that a pointer or a reference holds. */
  readonly target?: bigint;
  /** Scalar value, for conditions. */
  readonly scalar?: bigint | number;
}

export interface Variable {
  readonly name: string;
  readonly kind: 'argument' | 'local' | 'static' | 'global';
  /** Reads it now. A value that is optimised out has that as its text. */
  read(): TypedValue;
}

/** An expression that can't be evaluated: one sentence. */
export class EvaluationError extends Error {}

export interface SymbolSource {
  readonly producer: string;
  /** The source files with code, for `loadedSources`. */
  readonly files: readonly string[];
  lineAt(address: bigint): LineRange | undefined;
  /** Statement starts for a line, one per place it was compiled to; when the line has no code, the next one that has. */
  addressesOf(path: string, line: number): { readonly line: number; readonly addresses: readonly bigint[] };
  /** Lines of a file that have code, sorted. */
  linesOf(path: string): readonly number[];
  functionAt(address: bigint): FunctionInfo | undefined;
  /** By exact name, or by `/regular expression/`. */
  functionsNamed(name: string): readonly FunctionInfo[];
  inlineFramesAt(address: bigint): readonly InlineFrame[];
  /** Nearest symbol at or before an address: `main+0x12`. */
  describe(address: bigint): string | undefined;
  symbol(name: string): { readonly address: bigint; readonly size: number } | undefined;
  /** Registers of the caller; undefined at the outermost frame or where nothing is known of the frame. */
  unwind(frame: FrameContext): FrameRegisters | undefined;
  /** Why a frame has no caller, where it isn't the outermost one: a few words, without a stop. */
  whyNoCaller?(frame: FrameContext): string | undefined;
  /** User addresses of a guest with processes mean what they do for the one that this vCPU runs. */
  lookFrom?(vcpu: number): void;
  /** Whether code is elsewhere than when it was asked last. */
  hasChanged?(): boolean;
  /** At most so many names of symbols that begin with a text, besides those of the program's file. */
  namesWith?(prefix: string, most: number): readonly string[];
  variables(frame: FrameContext): readonly Variable[];
  /** Evaluates a C expression with the frame's variables. Throws EvaluationError. */
  evaluate(expression: string, frame: FrameContext): TypedValue;
}
