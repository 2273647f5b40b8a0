import * as vscode from 'vscode';
import { registerAssemblyValues } from './assembly-values.ts';
import { registerCrashReport } from './commands/crash-report.ts';
import { registerDebugFile } from './commands/debug-file.ts';
import { registerMoves } from './commands/moves.ts';
import { registerOpenSample } from './commands/open-sample.ts';
import { registerShowMemory } from './commands/show-memory.ts';
import { registerStepInstruction } from './commands/step-instruction.ts';
import { registerDebugAdapter } from './debug-adapter.ts';
import { registerGuestTerminals } from './guest-terminals.ts';
import { startLanguageClient } from './language-client.ts';
import { registerLaunchConfigurations } from './launch-configurations.ts';
import { registerExitProfile } from './views/exit-profile-view.ts';
import { registerExitsView } from './views/exits-view.ts';
import { GuestActivity } from './views/guest-activity.ts';
import { registerPageTables } from './views/page-tables.ts';
import { registerPartitionsView } from './views/partitions-view.ts';
import { registerScreenView } from './views/screen-view.ts';
import { registerVirtqueuesView } from './views/virtqueues-view.ts';
import { registerVmbusView } from './views/vmbus-view.ts';

/** What VS Code calls when a guest is to be debugged, or guest assembly is opened. */
export function activate(context: vscode.ExtensionContext): void {
  const activity = new GuestActivity();
  context.subscriptions.push(
    activity,
    registerDebugAdapter(context),
    registerLaunchConfigurations(),
    registerAssemblyValues(),
    registerDebugFile(),
    registerStepInstruction(),
    registerMoves(),
    registerOpenSample(context),
    registerShowMemory(),
    registerCrashReport(),
    registerGuestTerminals(),
    registerPageTables(context),
    registerPartitionsView(activity),
    registerExitsView(context, activity),
    registerExitProfile(activity),
    registerVirtqueuesView(context, activity),
    registerVmbusView(context, activity),
    registerScreenView(context, activity),
  );
  // Not awaited: F5 must not wait for the language server, nor fail with it.
  startLanguageClient(context).catch((error: unknown) => {
    void vscode.window.showWarningMessage(
      `The language server for guest assembly did not start: ${error instanceof Error ? error.message : String(error)}. Debugging works without it.`,
    );
  });
}
