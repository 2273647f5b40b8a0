/** Whether a source file is assembly: one instruction a line, no variables. */
export function isAssembly(path: string): boolean {
  return /\.(asm|nasm|s|inc)$/i.test(path);
}
