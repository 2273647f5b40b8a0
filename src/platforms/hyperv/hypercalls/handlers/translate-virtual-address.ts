import type { Processor, WalkResult } from '../../../../processor/processor.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { Privilege } from '../../abi/privileges.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { pageAccess, writePage } from '../guest-access.ts';
import { targetVp } from '../target.ts';

/** HV_TRANSLATE_GVA_CONTROL_FLAGS. */
const Flags = {
  READ: 1n,
  WRITE: 2n,
  EXECUTE: 4n,
  PRIVILEGE_EXEMPT: 8n,
  SET_PAGE_TABLE_BITS: 0x10n,
  TLB_FLUSH_INHIBIT: 0x20n,
  SUPERVISOR: 0x40n,
  USER: 0x80n,
  ENFORCE_SMAP: 0x100n,
  OVERRIDE_SMAP: 0x200n,
  KNOWN: 0x3ffn,
} as const;

/** The virtual trust level in its top byte, of which there is only 0. */
const VTL_SHIFT = 56n;

/** HV_TRANSLATE_GVA_RESULT_CODE. */
const Translation = {
  SUCCESS: 0,
  NOT_PRESENT: 1,
  PRIVILEGE_VIOLATION: 2,
  INVALID_FLAGS: 3,
  UNMAPPED: 4,
  NO_READ: 5,
  NO_WRITE: 6,
} as const;

/** Memory type of RAM: write-back. */
const WRITE_BACK = 6;

const PAGE_SHIFT = 12n;

const CANONICAL_PAGES = 1n << 52n;

const CR0_WP = 1n << 16n;

const CR4_SMAP = 1n << 21n;

const RFLAGS_AC = 1 << 18;

const ACCESSED = 0x20;

const DIRTY = 0x40;

/** HvCallTranslateVirtualAddress and -Ex: a walk through the page tables of a vCPU as they are now. */
export function* translateVirtualAddress(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const flags = call.value('controlFlags');
  const page = call.value('gvaPage');
  yield stage('hyperv-call-translate.check', { gva: BigInt.asUintN(64, page << PAGE_SHIFT), flags });
  const target = targetVp(hyperv, call, Privilege.ACCESS_VP_REGISTERS);
  if ('status' in target) return target.status;
  if ((flags & ~Flags.KNOWN) !== 0n && ((flags & ~Flags.KNOWN) >> VTL_SHIFT) << VTL_SHIFT !== (flags & ~Flags.KNOWN))
    return call.fail(HvStatus.INVALID_PARAMETER, `flags ${hex(flags & ~Flags.KNOWN)} mean nothing`);
  if (flags >> VTL_SHIFT > 1n) return call.fail(HvStatus.INVALID_PARAMETER, 'there is no virtual trust level but 0');
  if (page >= CANONICAL_PAGES) return call.fail(HvStatus.INVALID_PARAMETER, `${hex(page)} is no page of virtual addresses`);
  const { partition, processor } = target.found;
  const walk = processor.walk(page << PAGE_SHIFT);
  yield stage('hyperv-call-translate.walk', {
    levels: walk.steps.length,
    gpa: walk.gpa ?? 'none',
    writable: walk.writable,
    user: walk.user,
    executable: walk.executable,
    problem: walk.problem ?? 'none',
  });
  const result = resultOf(partition, processor, walk, flags);
  const isDone = result === Translation.SUCCESS;
  if (isDone && flags & Flags.SET_PAGE_TABLE_BITS) setBits(partition, walk, (flags & Flags.WRITE) !== 0n);
  call.give('resultCode', result);
  if (isDone) call.give('cacheType', WRITE_BACK);
  if (isDone) call.give('gpaPage', (walk.gpa ?? 0n) >> PAGE_SHIFT);
  if (isDone && partition.overlays.at(walk.gpa ?? 0n)) call.give('overlay', 1);
  yield stage('hyperv-call-translate.result', { result, gpaPage: (walk.gpa ?? 0n) >> PAGE_SHIFT });
  return HvStatus.SUCCESS;
}

function resultOf(partition: Hyperv, processor: Processor, walk: WalkResult, flags: bigint): number {
  if (walk.gpa === undefined) return /reserved/.test(walk.problem ?? '') ? Translation.INVALID_FLAGS : Translation.NOT_PRESENT;
  if (!isAllowed(processor, walk, flags)) return Translation.PRIVILEGE_VIOLATION;
  const access = pageAccess(partition, walk.gpa, 'read');
  if (access === 'unmapped') return Translation.UNMAPPED;
  if (access === 'no right') return Translation.NO_READ;
  const isWrite = (flags & Flags.WRITE) !== 0n;
  return isWrite && pageAccess(partition, walk.gpa, 'write') !== 'ok' ? Translation.NO_WRITE : Translation.SUCCESS;
}

/** Whether the tables let the access through: by the vCPU's privilege level, or by the one that the flags name. */
function isAllowed(processor: Processor, walk: WalkResult, flags: bigint): boolean {
  const { state } = processor;
  if (flags & Flags.EXECUTE && !walk.executable) return false;
  if (flags & Flags.PRIVILEGE_EXEMPT) return !(flags & Flags.WRITE) || walk.writable;
  const isUser = flags & Flags.USER ? true : flags & Flags.SUPERVISOR ? false : processor.cpl === 3;
  if (isUser && !walk.user) return false;
  if (flags & Flags.WRITE && !walk.writable && (isUser || (state.cr0 & CR0_WP) !== 0n)) return false;
  const hasSmap = (state.cr4 & CR4_SMAP) !== 0n && !(flags & Flags.OVERRIDE_SMAP);
  const isOpen = (state.rflags & RFLAGS_AC) !== 0 && !(flags & Flags.ENFORCE_SMAP);
  return isUser || !walk.user || !hasSmap || isOpen || (flags & Flags.EXECUTE) !== 0n;
}

/** Accessed bits of all entries, the dirty bit of the last one for a write. */
function setBits(partition: Hyperv, { steps }: WalkResult, isWrite: boolean): void {
  for (const [index, { entryGpa, entry }] of steps.entries()) {
    const isLast = index === steps.length - 1;
    const low = Number(entry & 0xffn) | ACCESSED | (isLast && isWrite ? DIRTY : 0);
    if (low !== Number(entry & 0xffn)) writePage(partition, entryGpa, Uint8Array.of(low));
  }
}
