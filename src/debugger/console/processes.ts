import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { type ConsoleCommand, type ConsoleSession, columns, expectNothing } from './command.ts';

function processes({ partition, linux }: ConsoleSession, rest: string): string {
  expectNothing('processes', rest);
  if (linux?.banner === undefined)
    throw new ExpressionError('No Linux kernel runs in the guest yet; ask again once it has begun to.');
  const tasks = linux.tasks;
  if (!tasks)
    throw new ExpressionError("The kernel's processes can't be read: it has no type information (CONFIG_DEBUG_INFO_BTF).");
  const running = new Map(partition.vcpus.map(({ index }) => [linux.taskOf(index)?.pid, index]));
  const rows = tasks.map(({ pid, state, name, pageTables }) => {
    const vcpu = running.get(pid);
    return [
      String(pid).padStart(5),
      state,
      pageTables === undefined ? `[${name}]` : name,
      pageTables === undefined ? '' : `cr3 ${hex(pageTables)}`,
      vcpu === undefined ? '' : `on vCPU ${vcpu}`,
    ];
  });
  return columns(rows).join('\n');
}

export const processCommands: readonly ConsoleCommand[] = [
  {
    name: 'processes',
    usage: 'processes',
    summary: 'the processes of a Linux guest',
    details: [
      'Columns: number, state, name, its page tables, the vCPU that it runs on.',
      'States are the letters of ps: R running, S sleeping, D waiting, I idle, T stopped, Z zombie. [Names] are threads of the kernel.',
    ],
    run: processes,
  },
];
