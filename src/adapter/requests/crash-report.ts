import { crashMarkdown } from '../../debugger/crash/markdown.ts';
import { errors } from '../errors.ts';
import { still } from '../threads.ts';
import type { RequestHandler } from './handler.ts';

/**
 * `hyperscope/crashReport` (an addition to the protocol): the crash that the guest stands at or ended with, as text and as data.
 */
const crashReport: RequestHandler = (adapter) => {
  const { crash } = still(adapter.focus).guest.session;
  if (!crash) throw errors.noCrash();
  return { body: { markdown: crashMarkdown(crash), json: crash } };
};

export const crashRequests: Readonly<Record<string, RequestHandler>> = { 'hyperscope/crashReport': crashReport };
