/** What CPUID leaves tell, in a few words (Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E), for views of exits. */
const LEAVES: ReadonlyMap<number, string> = new Map([
  [0x0, 'vendor and highest leaf'],
  [0x1, 'family, model and features'],
  [0x2, 'caches and TLBs as descriptors'],
  [0x4, 'caches'],
  [0x5, 'MONITOR and MWAIT'],
  [0x6, 'thermal and power management'],
  [0x7, 'more features'],
  [0x9, 'direct cache access'],
  [0xa, 'performance counters'],
  [0xb, 'topology'],
  [0xd, 'extended state of XSAVE'],
  [0xf, 'monitoring of shared resources'],
  [0x10, 'allocation of shared resources'],
  [0x12, 'SGX'],
  [0x14, 'processor trace'],
  [0x15, 'frequencies of TSC and crystal'],
  [0x16, 'frequencies of processor and bus'],
  [0x19, 'Key Locker'],
  [0x1a, 'hybrid processor'],
  [0x1f, 'topology, second form'],
  [0x8000_0000, 'highest extended leaf'],
  [0x8000_0001, 'extended features'],
  [0x8000_0002, 'brand, first part'],
  [0x8000_0003, 'brand, second part'],
  [0x8000_0004, 'brand, third part'],
  [0x8000_0005, 'first-level caches and TLBs'],
  [0x8000_0006, 'second-level caches'],
  [0x8000_0007, 'power management, invariant TSC'],
  [0x8000_0008, 'widths of addresses'],
  [0x8000_000a, 'SVM'],
  [0x8000_001d, 'caches'],
  [0x8000_001e, 'topology'],
  [0x8000_001f, 'memory encryption'],
]);

/** What a leaf tells; undefined for one without a name here. */
export function leafReference(leaf: number): string | undefined {
  return LEAVES.get(leaf >>> 0);
}
