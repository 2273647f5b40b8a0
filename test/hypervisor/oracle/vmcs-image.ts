import type { InspectNode } from '../../../src/devices/inspect.ts';
import { type InterceptSettings, interceptSettings } from '../../../src/hypervisor/intercepts/settings.ts';
import type { SettingName } from '../../../src/hypervisor/intercepts/table.ts';
import { vmcsView } from '../../../src/hypervisor/views/vmcs.ts';
import type { Processor } from '../../../src/processor/processor.ts';

const FIELDS_SIZE = 0x800;
const END_OF_FIELDS = 0xffff_ffff;
/** Where vmx-oracle.asm has its bitmaps. */
const FIRST_BITMAP = 0x50_4000n;
const CR4_FIELD = 0x6804;
/** In VMX operation it is set. */
const VMXE = 0x2000n;

/** What its guests need all: they end with HLT. */
const ALWAYS: readonly SettingName[] = [
  'hlt',
  'host-64-bit',
  'save-debug-controls',
  'exit-save-efer',
  'exit-load-efer',
  'entry-load-debug-controls',
  'entry-load-efer',
];

/** Settings of a guest that runs under vmx-oracle.asm, which hides CR4.VMXE from it. */
export function vmxSettings(
  on: readonly SettingName[] = [],
  values: Partial<Omit<InterceptSettings, 'on'>> = {},
): InterceptSettings {
  return interceptSettings([...ALWAYS, ...on], { cr4: { mask: VMXE, shadow: 0n }, ...values });
}

/** The list of a VMCS's fields, as the view shows them; `more`: others, or other values, by their encodings. */
export function vmcsImage(processor: Processor, settings: InterceptSettings, more: ReadonlyMap<number, bigint>): Uint8Array {
  const fields = new Map<number, bigint>();
  const collect = (node: InspectNode) => {
    const at = /^0x([0-9a-f]{4})\b/.exec(node.detail ?? '')?.[1];
    if (at !== undefined && node.value?.startsWith('0x')) fields.set(Number.parseInt(at, 16), BigInt(node.value));
    for (const child of node.children ?? []) collect(child);
  };
  for (const part of vmcsView(processor, undefined, settings).children ?? []) collect(part);
  fields.set(CR4_FIELD, processor.state.cr4 | VMXE);
  [0x2000, 0x2002, 0x2004].forEach((field, index) => {
    fields.set(field, FIRST_BITMAP + BigInt(index * 0x1000));
  });
  for (const [field, value] of more) fields.set(field, value);
  const bytes = new DataView(new ArrayBuffer(FIELDS_SIZE));
  [...fields].forEach(([field, value], index) => {
    bytes.setUint32(index * 16, field, true);
    bytes.setBigUint64(index * 16 + 8, BigInt.asUintN(64, value), true);
  });
  bytes.setUint32(fields.size * 16, END_OF_FIELDS, true);
  return new Uint8Array(bytes.buffer);
}
