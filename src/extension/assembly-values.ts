import * as vscode from 'vscode';
import { expressionAt, registersIn } from './assembly-expressions.ts';
import { LANGUAGE } from './names.ts';

/** Lines above the stop whose registers show their values: further up they would only be noise. */
const LINES_WITH_VALUES = 8;

/** Values of registers and symbols in the source: what a hover evaluates, and what is shown at the ends of lines. */
export function registerAssemblyValues(): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.languages.registerEvaluatableExpressionProvider(LANGUAGE, {
      provideEvaluatableExpression(document, { line, character }) {
        const found = expressionAt(document.lineAt(line).text, character);
        return found && new vscode.EvaluatableExpression(new vscode.Range(line, found.start, line, found.end), found.expression);
      },
    }),
    vscode.languages.registerInlineValuesProvider(LANGUAGE, {
      provideInlineValues(document, viewport, { stoppedLocation }) {
        const last = stoppedLocation.start.line;
        let first = Math.max(viewport.start.line, last - LINES_WITH_VALUES);
        // What stands above the function's label runs at another time.
        for (let line = last; line > first; line--) if (/^[A-Za-z_?@][\w$#@~.?]*:/.test(document.lineAt(line).text)) first = line;
        // A value is shown once, at the line nearest to the stop.
        const values = new Map<string, vscode.InlineValue>();
        for (let line = first; line <= Math.min(last, document.lineCount - 1); line++)
          for (const { expression, start, end } of registersIn(document.lineAt(line).text))
            values.set(
              expression,
              new vscode.InlineValueEvaluatableExpression(new vscode.Range(line, start, line, end), expression),
            );
        return [...values.values()];
      },
    }),
  );
}
