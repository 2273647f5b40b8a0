import { capabilities } from './capabilities.ts';
import { requestHandlers } from './requests/index.ts';

/** docs/reference/capabilities.md as it must be: made from what the adapter declares and answers. */
export function capabilityTable(): string {
  const { exceptionBreakpointFilters = [], completionTriggerCharacters = [], ...flags } = capabilities;
  const rows = Object.keys(flags)
    .sort()
    .map((name) => `| \`${name}\` | yes |`);
  const filters = exceptionBreakpointFilters.map(
    ({ filter, label, description, conditionDescription, default: on }) =>
      `| \`${filter}\` | ${label} | ${description ?? ''} | ${(conditionDescription ?? '').replaceAll('|', '\\|')} | ${on ? 'on' : 'off'} |`,
  );
  return `# Capabilities of the debug adapter

Made from \`src/adapter\`; a test fails when it is out of date (\`UPDATE_DOCS=1 npx vitest run test/adapter/capabilities.test.ts\` writes it).

| capability | |
|---|---|
${rows.join('\n')}
| \`completionTriggerCharacters\` | ${completionTriggerCharacters.map((character) => `\`${character}\``).join(' ')} |

## Requests

${Object.keys(requestHandlers)
  .sort()
  .map((name) => `\`${name}\``)
  .join(' ')}

## VM exit filters

| filter | label | stops at | condition | by default |
|---|---|---|---|---|
${filters.join('\n')}
`;
}
