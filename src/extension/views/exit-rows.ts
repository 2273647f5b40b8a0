import type { ShownExit, ShownGroup } from '../../adapter/requests/exits.ts';
import type { GroupRow, RecordRow } from '../../webview/exits-table/messages.ts';

const count = (number: number) => number.toLocaleString('en-US');
const lines = (...parts: readonly (string | undefined)[]) => parts.filter((part) => part !== undefined).join('\n');

/** The row of an exit. */
export function recordRow(exit: ShownExit): RecordRow {
  const { order, seq, partitionName, vcpu, icount, rip, symbol, reason, vmx, svm, qualification } = exit;
  const { guestPlace, handler, request, result, to, meaning, instructions } = exit;
  const numbers = `VMX reason ${vmx}, SVM code 0x${svm.toString(16)}, qualification ${qualification}`;
  const line = guestPlace && `${guestPlace.source.name ?? guestPlace.source.path}:${guestPlace.line}`;
  const since = instructions === undefined ? '' : `, ${count(instructions)} since its exit before`;
  return {
    order,
    seq,
    partition: partitionName,
    vcpu: String(vcpu),
    reason,
    numbers,
    request,
    result,
    meaning,
    rip,
    symbol,
    line,
    handler,
    to,
    instructions,
    details: lines(
      `#${seq}: ${request}${result === undefined ? '' : ` → ${result}`}`,
      meaning,
      `${partitionName}, vCPU ${vcpu}, after ${icount} instructions${since}`,
      `RIP ${rip}${symbol === undefined ? '' : ` (${symbol})`}${line === undefined ? '' : `, ${line}`}`,
      `${reason}: ${numbers}`,
      handler && `taken by ${handler}${to === undefined ? '' : `, served by ${to}`}`,
    ),
  };
}

/** The row of the exits with one value of a field. */
export function groupRow(by: string, group: ShownGroup): GroupRow {
  const { value, label, share, meanInstructions, example, records = [] } = group;
  const every = meanInstructions === null ? undefined : `after ${count(Math.round(meanInstructions))} instructions`;
  return {
    value,
    label,
    count: group.count,
    share,
    meanInstructions: meanInstructions ?? undefined,
    example,
    records: records.map(recordRow).reverse(),
    details: lines(
      `${by} ${value}${label === undefined ? '' : ` (${label})`}`,
      `${count(group.count)} exits, ${(share * 100).toFixed(1)}% of those that are counted`,
      every && `${every} of the guest on average, from the exit before`,
      `for example ${example}`,
    ),
  };
}
