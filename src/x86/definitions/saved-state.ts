import type { InstructionDefinition } from '../notation.ts';

type Row = readonly [mnemonic: string, helper: string, summary: string, form: string, feature: string];

/** Their operands are images whose size depends on the state: the helpers see to them. */
const legacy: readonly Row[] = [
  ['FXSAVE', 'fxsave', 'Save the state of x87, MMX and SSE', '0F AE/0 Mb', 'fxsr'],
  ['FXRSTOR', 'fxrstor', 'Restore the state of x87, MMX and SSE', '0F AE/1 Mb', 'fxsr'],
];

const extended: readonly Row[] = [
  ['XSAVE', 'xsave', 'Save components of the state', '0F AE/4 Mb', 'xsave'],
  ['XRSTOR', 'xrstor', 'Restore components of the state', '0F AE/5 Mb', 'xsave'],
  ['XSAVEOPT', 'xsaveopt', 'Save components of the state that are in use', '0F AE/6 Mb', 'xsaveopt'],
  ['XSAVEC', 'xsavec', 'Save components of the state that are in use, closely packed', '0F C7/4 Mb', 'xsavec'],
];

/** What kernels use: with the components that user programs don't see, of which there are none. */
const supervisor: readonly Row[] = [
  ['XSAVES', 'xsaves', 'Save components of the state that are in use, those of the supervisor too', '0F C7/5 Mb', 'xsaves'],
  ['XRSTORS', 'xrstors', 'Restore components of the state, those of the supervisor too', '0F C7/3 Mb', 'xsaves'],
];

const define =
  (registers?: InstructionDefinition['registers']) =>
  ([mnemonic, helper, summary, form, feature]: Row): InstructionDefinition => ({
    ...{ mnemonic, summary, forms: [form], feature, registers, helper, endsBlock: true },
  });

/** Instructions that save and restore the state of x87, MMX, SSE and AVX, and MXCSR alone. */
export const savedState: readonly InstructionDefinition[] = [
  ...legacy.map(define()),
  ...extended.map(define('xsave')),
  ...supervisor.map(define('xsave')).map((definition) => ({ ...definition, privileged: true })),
  ...(
    [
      ['LDMXCSR', 'ldmxcsr', 'Load MXCSR', 2],
      ['STMXCSR', 'stmxcsr', 'Store MXCSR', 3],
    ] as const
  ).flatMap(([mnemonic, helper, summary, digit]) => [
    define('sse')([mnemonic, helper, summary, `0F AE/${digit} Md`, 'sse']),
    define('avx')([`V${mnemonic}`, helper, summary, `VEX 0F AE/${digit} Md L0`, 'avx']),
  ]),
];
