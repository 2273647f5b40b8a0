import type { InspectNode } from '../../../devices/inspect.ts';
import { hex } from '../../../x86/address.ts';
import { interceptMessageName } from '../abi/intercepts.ts';
import { Msr, PAGE_ADDRESS, PAGE_ENABLED } from '../abi/msrs.ts';
import { EVENT_FLAGS, MESSAGE_PENDING, Message, MessageType, Sint, SLOT_SIZE, SOURCES } from '../abi/synic.ts';
import { writeSynicMsr } from './synic-msrs.ts';
import type { SyntheticTimer } from './synthetic-timer.ts';
import type { VpSynic } from './vp-synic.ts';

/** What a debugger shows of one vCPU's SynIC and synthetic timers. `now`: reference time. */
export function inspectSynic(vcpu: number, synic: VpSynic, timers: readonly SyntheticTimer[], now: bigint): InspectNode {
  const set = (msr: number) => (value: bigint) => writeSynicMsr(synic, msr, value);
  const sources = Array.from({ length: SOURCES }, (_, source) => source).filter((source) => isInteresting(synic, source));
  return {
    name: `SynIC of vCPU ${vcpu}`,
    value: synic.enabled ? 'on' : 'off',
    children: [
      { name: 'SCONTROL', value: hex(synic.scontrol), detail: synic.enabled ? 'on' : 'off', set: set(Msr.SCONTROL) },
      { ...pageNode('SIMP', synic.simp, 'message page'), set: set(Msr.SIMP) },
      { ...pageNode('SIEFP', synic.siefp, 'event flags page'), set: set(Msr.SIEFP) },
      { ...pageNode('SIRBP', synic.sirbp, 'event ring page'), set: set(Msr.SIRBP) },
      ...sources.map((source) => sourceNode(synic, source)),
      ...timers.map((timer) => timerNode(timer, now)),
    ],
  };
}

function pageNode(name: string, register: bigint, what: string): InspectNode {
  const isOn = (register & PAGE_ENABLED) !== 0n;
  const address = register & PAGE_ADDRESS;
  return {
    name,
    value: hex(register),
    detail: isOn ? `${what} at ${hex(address)}` : `no ${what}`,
    ...(isOn ? { memory: { space: 'gpa' as const, address } } : {}),
  };
}

/** A source that was never programmed and has nothing is left out. */
function isInteresting(synic: VpSynic, source: number): boolean {
  return synic.sint(source) !== Sint.MASKED || synic.queued(source).length > 0 || synic.slot(source).type !== 0;
}

function sourceNode(synic: VpSynic, source: number): InspectNode {
  const sint = synic.sint(source);
  const flags = synic.flagsSet(source);
  const queued = synic.queued(source);
  return {
    name: `SINT${source}`,
    value: hex(sint),
    detail: describeSint(sint),
    set: (value) => synic.setSint(source, value),
    children: [
      slotNode(synic, source),
      {
        name: 'queue',
        value: `${queued.length}`,
        children: queued.map(({ type }, index) => ({ name: `message ${index}`, value: nameOfType(type) })),
      },
      {
        name: 'event flags',
        value: flags.length === 0 ? 'none set' : flags.join(', '),
        detail: `${flags.length} of ${EVENT_FLAGS}`,
        ...placeIn(synic.siefp, source),
      },
      ...ringNode(synic, source),
    ],
  };
}

/** `vector 0xf3, AutoEOI`. */
function describeSint(sint: bigint): string {
  const parts = [`vector ${hex(sint & Sint.VECTOR)}`];
  if (sint & Sint.MASKED) parts.push('masked');
  if (sint & Sint.AUTO_EOI) parts.push('AutoEOI');
  if (sint & Sint.POLLING) parts.push('polled');
  if (sint & Sint.AS_INTERCEPT) parts.push('as intercept');
  if (sint & Sint.PROXY) parts.push('proxied');
  return parts.join(', ');
}

function slotNode(synic: VpSynic, source: number): InspectNode {
  const { type, payloadSize, flags, sender } = synic.slot(source);
  const pending = flags & MESSAGE_PENDING ? ', more pending' : '';
  return {
    name: 'message slot',
    value: type === 0 ? 'empty' : nameOfType(type),
    detail: type === 0 ? undefined : `${payloadSize} bytes from ${hex(sender)}${pending}`,
    ...placeIn(synic.simp, source),
  };
}

/** The ports in a source's event ring, where the page is on. */
function ringNode(synic: VpSynic, source: number): readonly InspectNode[] {
  const ring = synic.ring(source);
  if (!ring || (synic.sirbp & PAGE_ENABLED) === 0n) return [];
  const { ports, waits, isSignalMasked } = ring;
  const parts = [isSignalMasked ? 'signal masked' : undefined, waits > 0 ? `full, ${waits} ports wait` : undefined];
  return [
    {
      name: 'event ring',
      value: ports.length === 0 ? 'empty' : `port ${ports.join(', ')}`,
      detail: parts.filter(Boolean).join(', ') || undefined,
      ...placeIn(synic.sirbp, source),
    },
  ];
}

/** Where a source's part of a page lies, if the page is on. */
function placeIn(register: bigint, source: number): Pick<InspectNode, 'memory'> {
  if ((register & PAGE_ENABLED) === 0n) return {};
  return { memory: { space: 'gpa', address: (register & PAGE_ADDRESS) + BigInt(source * SLOT_SIZE + Message.TYPE) } };
}

function timerNode(timer: SyntheticTimer, now: bigint): InspectNode {
  const { due } = timer;
  const left = due === undefined ? 'stopped' : `${(due > now ? due - now : 0n) * 100n} ns left`;
  return {
    name: `synthetic timer ${timer.index}`,
    value: left,
    detail: describeTimer(timer),
    children: [
      {
        name: 'CONFIG',
        value: hex(timer.config),
        set: (value) => {
          timer.config = value;
          return true;
        },
      },
      {
        name: 'COUNT',
        value: hex(timer.count),
        detail: timer.isPeriodic ? 'period in units of 100 ns' : 'reference time in units of 100 ns',
        set: (value) => {
          timer.count = value;
          return true;
        },
      },
    ],
  };
}

/** `periodic, vector 0xed, its message waits`. */
function describeTimer(timer: SyntheticTimer): string {
  const parts = [timer.isPeriodic ? 'periodic' : 'one-shot'];
  if (timer.isLazy) parts.push('lazy');
  if (timer.isAutoEnabled) parts.push('enabled by its count');
  parts.push(timer.isDirect ? `vector ${hex(timer.vector)}` : `message to SINT${timer.source}`);
  if (timer.isQueued) parts.push('its message waits');
  return parts.join(', ');
}

/** `HvMessageTimerExpired`; the number of a type that a guest has chosen. */
function nameOfType(type: number): string {
  if (type === MessageType.SINT_INTERCEPT) return 'HvMessageTypeSynicSintIntercept';
  return type === MessageType.TIMER_EXPIRED ? 'HvMessageTimerExpired' : interceptMessageName(type);
}
