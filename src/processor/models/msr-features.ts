/** MSRs that come with features of CPUID: each with any of the features that are named for it. All others are always there. */
const NEEDS: readonly (readonly [first: number, last: number, ...features: string[]])[] = [
  [0x10, 0x10, 'tsc'],
  [0x1b, 0x1b, 'apic'],
  [0x3b, 0x3b, 'tscadjust'],
  [0xfe, 0xfe, 'mtrr'],
  [0x174, 0x176, 'sep'],
  [0x179, 0x17a, 'mca'],
  [0x200, 0x26f, 'mtrr'],
  [0x277, 0x277, 'pat'],
  [0x2ff, 0x2ff, 'mtrr'],
  [0xda0, 0xda0, 'xsaves'],
  [0xc000_0080, 0xc000_0080, 'syscall', 'lm', 'nx'],
  [0xc000_0081, 0xc000_0084, 'syscall'],
  [0xc000_0100, 0xc000_0102, 'lm'],
  [0xc000_0103, 0xc000_0103, 'rdtscp', 'rdpid'],
];

/** Whether a processor with some features has the MSR at an index. */
export function hasMsr(index: number, has: (feature: string) => boolean): boolean {
  const row = NEEDS.find(([first, last]) => first <= index && index <= last);
  return !row || row.slice(2).some((feature) => has(String(feature)));
}
