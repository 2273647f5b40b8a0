import { ASSIST_FIRST_PART, ASSIST_SECOND_PART, ASSISTS } from '../../x86/assists.ts';
import { GuestFault } from '../faults/guest-fault.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { type Assist, AssistFrame } from './assist-frame.ts';
import { cipherAssists } from './ciphers.ts';
import { floatingAssists } from './floating.ts';
import { integerAssists } from './integers.ts';

const known = new Map([...floatingAssists(), ...integerAssists, ...cipherAssists]);

/** By their numbers. */
const assists: readonly Assist[] = ASSISTS.map((name) => {
  const assist = known.get(name);
  if (!assist) throw new Error(`the assist ${name} is missing`);
  return assist;
});

/** What generated code has computed outside: exact floating point, and what would be too long as generated code. */
export class Assists {
  private readonly frame: AssistFrame;
  constructor(state: CpuState) {
    this.frame = new AssistFrame(state);
  }

  /**
   * From VECTOR_OPERANDS to VECTOR_RESULT; `number` may have ASSIST_FIRST_PART or ASSIST_SECOND_PART added. Throws GuestFault: #XM or
   * #UD for an exception that is not masked.
   */
  compute(number: number, immediate: number): void {
    this.frame.begin(number & ASSIST_FIRST_PART ? 'first' : number & ASSIST_SECOND_PART ? 'second' : 'only');
    assists[number & ~(ASSIST_FIRST_PART | ASSIST_SECOND_PART)]?.(this.frame, immediate);
  }

  /** The same for translated code, which leaves exceptions to the interpreter: 1 where there is one, else 0. */
  attempt(number: number, immediate: number): number {
    try {
      this.compute(number, immediate);
      return 0;
    } catch (error) {
      if (error instanceof GuestFault) return 1;
      throw error;
    }
  }
}
