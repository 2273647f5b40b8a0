import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { EngineCommand } from './engines.ts';

/** What one run of a bench program came to, between its marks. */
export interface TimedRun {
  readonly seconds: number;
  /** Of all threads; undefined where the system doesn't say. */
  readonly cpuSeconds: number | undefined;
  /** 16 hexadecimal digits. */
  readonly checksum: string;
  /** Retired instructions of the whole run, where the engine counts them. */
  readonly instructions: number | undefined;
  /** Milliseconds that the longest translation took, where the engine says it. */
  readonly longestTranslation: number | undefined;
}

/** Marks on the debug console (bench.inc). */
const BEGIN = 2;
const END = 3;
/** Clock ticks a second in /proc. */
const TICKS = 100;
/** Milliseconds that an engine gets to end after the program has. */
const GRACE = 5000;

function cpuSecondsOf(pid: number | undefined): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return undefined;
  }
}

/** Runs a program to its end. Rejects with a sentence when it doesn't come to one within `patience` seconds. */
export function timedRun({ command, args, console }: EngineCommand, patience: number): Promise<TimedRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    let begin: number | undefined;
    let beginCpu: number | undefined;
    let digits = '';
    let result: Omit<TimedRun, 'instructions' | 'longestTranslation'> | undefined;
    let timer = setTimeout(() => child.kill('SIGKILL'), patience * 1000);
    const mark = (byte: number): void => {
      if (byte === BEGIN && begin === undefined) {
        begin = performance.now();
        beginCpu = cpuSecondsOf(child.pid);
      } else if (byte === END && begin !== undefined && !result) {
        const seconds = (performance.now() - begin) / 1000;
        const cpu = cpuSecondsOf(child.pid);
        const cpuSeconds = cpu === undefined || beginCpu === undefined ? undefined : cpu - beginCpu;
        result = { seconds, cpuSeconds, checksum: digits.slice(-16) };
        clearTimeout(timer);
        timer = setTimeout(() => child.kill('SIGKILL'), GRACE);
      } else if (begin !== undefined && !result) digits += String.fromCharCode(byte);
    };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].on('data', (chunk: Buffer) => {
        output[name] += chunk.toString('latin1');
        if (name === console) for (const byte of chunk) mark(byte);
      });
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      const statistic = (name: string) => {
        const found = new RegExp(`"${name}":([\\d.]+)`).exec(output.stderr);
        return found ? Number(found[1]) : undefined;
      };
      if (result)
        resolve({ ...result, instructions: statistic('instructions'), longestTranslation: statistic('longestTranslation') });
      else {
        const last = output.stderr.trim().split('\n').at(-1) ?? '';
        reject(new Error(`${command} did not run the program to its end within ${patience} seconds${last && `: ${last}`}`));
      }
    });
  });
}
