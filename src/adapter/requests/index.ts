import { breakpointRequests } from './breakpoints.ts';
import { crashRequests } from './crash-report.ts';
import { evaluationRequests } from './evaluation.ts';
import { exceptionRequests } from './exception-info.ts';
import { executionRequests } from './execution.ts';
import { profileRequests } from './exit-profile.ts';
import { exitRequests } from './exits.ts';
import { guestConsoleRequests } from './guest-console.ts';
import type { RequestHandler } from './handler.ts';
import { inspectionRequests } from './inspection.ts';
import { lifecycleRequests } from './lifecycle.ts';
import { memoryRequests } from './memory.ts';
import { pagingRequests } from './paging.ts';
import { partitionRequests } from './partitions.ts';
import { programRequests } from './program.ts';
import { screenRequests } from './screen.ts';
import { virtqueueRequests } from './virtqueues.ts';
import { vmbusRequests } from './vmbus.ts';

/** Every request that the adapter knows, by its command. */
export const requestHandlers: Readonly<Record<string, RequestHandler>> = {
  ...lifecycleRequests,
  ...executionRequests,
  ...breakpointRequests,
  ...inspectionRequests,
  ...evaluationRequests,
  ...exceptionRequests,
  ...crashRequests,
  ...memoryRequests,
  ...pagingRequests,
  ...programRequests,
  ...guestConsoleRequests,
  ...partitionRequests,
  ...virtqueueRequests,
  ...vmbusRequests,
  ...screenRequests,
  ...exitRequests,
  ...profileRequests,
};
