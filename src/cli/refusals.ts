import type { Host } from '../hypervisor/host/host.ts';
import { grantedBy } from '../hypervisor/privileges/request-door.ts';

/**
 * Says on stderr what is refused to a guest because of its options, each kind once. What no guest gets, such as memory that isn't there,
 * is in the exit journal alone: guests probe for it.
 */
export function tellRefusals({ journal }: Host): void {
  journal.onRefusal(({ subject, text }) => {
    const option = grantedBy(subject);
    if (option !== undefined) process.stderr.write(`hyperscope: ${text} --${option} says what it may do.\n`);
  });
}
