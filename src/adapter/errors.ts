/** A request that can't be done. The message is shown to the user: one sentence. `id` tells clients which it was. */
export class RequestError extends Error {
  constructor(
    readonly id: number,
    message: string,
  ) {
    super(message);
  }
}

/** The adapter's own errors by code; those of launching and evaluating come with their own sentences. */
export const errors = {
  unknownRequest: (command: string) => new RequestError(1001, `This debugger has no request "${command}".`),
  notLaunched: () => new RequestError(1002, 'No guest is loaded; launch one first.'),
  attach: () => new RequestError(1003, 'Attaching is not possible yet; use a launch configuration.'),
  running: () => new RequestError(1004, 'The guest is running; pause it first.'),
  unknownThread: (id: unknown) => new RequestError(1005, `There is no vCPU with thread id ${id}.`),
  unknownFrame: (id: unknown) => new RequestError(1006, `There is no stack frame ${id} any more; the guest has moved on.`),
  badReference: (text: unknown) =>
    new RequestError(1007, `"${text}" is not a memory reference; write 0x…, or gpa:0x… for a physical address.`),
  noAddress: (text: string) =>
    new RequestError(1018, `"${text}" is no address; give a number, a register, a symbol or a memory operand.`),
  notWritable: (place: string) => new RequestError(1016, `No memory that can be written is at ${place}.`),
  partlyWritable: (room: number, length: number) =>
    new RequestError(
      1017,
      `Only the first ${room} of ${length} bytes can be written; nothing was. Ask for allowPartial to write those.`,
    ),
  notSettable: (name: string, why?: string) => new RequestError(1008, why ?? `${name} can't be changed.`),
  noTarget: (id: unknown) => new RequestError(1009, `There is no jump target ${id} any more; ask again.`),
  badArguments: (command: string, what: string) => new RequestError(1010, `The request "${command}" needs ${what}.`),
  noCode: (line: unknown) => new RequestError(1011, `Line ${line} has no code.`),
  noSource: () => new RequestError(1012, 'This source is a file; open it by its path.'),
  noLocation: (id: unknown) => new RequestError(1014, `There is no location ${id} any more; the guest has moved on.`),
  onlyInConsole: (text: string) =>
    new RequestError(1013, `"${text}" sets something; that is done in the debug console, not by looking at it.`),
  noCrash: () => new RequestError(1015, 'There is nothing to report: the guest stands at no exception, triple fault or end.'),
  ended: (name: string) => new RequestError(1019, `${name} has ended; restart the session to run it again.`),
  badFilter: (sentence: string) => new RequestError(1020, sentence),
  noGuest: (index: number) => new RequestError(1021, `There is no partition with index ${index} in this session.`),
  over: () => new RequestError(1022, 'The session is over; restart it to run the guest again.'),
} as const;
