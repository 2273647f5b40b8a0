import type { InspectNode } from '../../devices/inspect.ts';
import type { Processor } from '../../processor/processor.ts';
import * as L from '../../processor/state/layout.ts';
import { toVmxEvent } from '../events/event-fields.ts';
import { describeEvent } from '../exits/describe.ts';
import { VMX_FIELDS, type VmxField } from '../intercepts/places.ts';
import type { InterceptSettings, OwnedBits } from '../intercepts/settings.ts';
import { SETTINGS } from '../intercepts/table.ts';
import { toVmcs, vmxBitNames } from '../intercepts/vmcs-controls.ts';
import { withWindows } from '../intercepts/windows.ts';
import { field, namesOfBits, pages, vectorNames } from './fields.ts';
import { type SecondLevelParts, vmcsSecondLevel, withDirtyLog } from './second-level-fields.ts';

/** Names of the control words in a VMCS, in the order of Intel SDM vol. 3, 25.6. */
const WORDS: readonly (readonly [VmxField, string])[] = [
  ['pin', 'pin-based'],
  ['primary', 'primary'],
  ['secondary', 'secondary'],
  ['tertiary', 'tertiary'],
  ['exit', 'exit'],
  ['entry', 'entry'],
];
const EFER_LMA = 0x400n;

/** The control fields of a vCPU's VMCS. */
export function vmcsControls(processor: Processor, settings: InterceptSettings, parts?: SecondLevelParts): InspectNode {
  const { index: vcpu, state, injected } = processor;
  const event = toVmxEvent(injected);
  const controls = toVmcs(withWindows(withDirtyLog(settings, parts), processor));
  const longMode = (state.efer & EFER_LMA) === 0n ? 0 : 1 << SETTINGS['long-mode-guest'].vmx.bit;
  const words = WORDS.map(([name, title]) => {
    const value = (controls.words[name] | (name === 'entry' ? longMode : 0)) >>> 0;
    return field(title, VMX_FIELDS[name], value, namesOfBits(value, vmxBitNames(name)));
  });
  const owned = (name: string, at: number, { mask, shadow }: OwnedBits, register: bigint) => [
    field(`${name} guest/host mask`, at, mask),
    field(`${name} read shadow`, at + 4, shadow ?? register),
  ];
  const [a, b] = controls.ioBitmaps ?? [];
  return {
    name: 'controls',
    children: [
      ...words,
      field('exception bitmap', 0x4004, controls.exceptionBitmap, vectorNames(controls.exceptionBitmap)),
      field('page-fault error-code mask', 0x4006, controls.pfecMask),
      field('page-fault error-code match', 0x4008, controls.pfecMatch),
      ...owned('CR0', 0x6000, controls.cr0, state.cr0),
      ...owned('CR4', 0x6002, controls.cr4, state.cr4),
      field('CR3-target count', 0x400a, controls.cr3Targets.length),
      ...controls.cr3Targets.map((value, index) => field(`CR3-target value ${index}`, 0x6008 + index * 2, value)),
      ...pages('I/O bitmap A', 0x2000, a),
      ...pages('I/O bitmap B', 0x2002, b),
      ...pages('MSR bitmap', 0x2004, controls.msrBitmap),
      field('TPR threshold', 0x401c, controls.tprThreshold),
      field('PLE_Gap', 0x4020, controls.pleGap),
      field('PLE_Window', 0x4022, controls.pleWindow),
      field('VM-entry interruption information', 0x4016, event.information, injected && describeEvent(injected)),
      field('VM-entry exception error code', 0x4018, event.errorCode),
      field('VM-entry instruction length', 0x401a, event.instructionLength),
      field('TSC offset', 0x2010, state.get64(L.TSC_OFFSET)),
      ...vmcsSecondLevel(vcpu, parts),
      field('VPID', 0x0000, 1),
    ],
  };
}
