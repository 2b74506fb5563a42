#include "report/html_style.h"

namespace checkbit {

const char* const kReportStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1b1d21; --soft: #5b616b; --rule: #dfdcd4;
  --accent: #0b6285; --contrast: #b14a0c;
  --s0: #0b6285; --s1: #5b9bb8; --s2: #b14a0c; --s3: #d99a6c; --s4: #6d6a63; --s5: #b9b4a8;
  --serif: Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Georgia,
    "Liberation Serif", serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1b1f24; --ink: #e8e6e1; --soft: #a2a8b1; --rule: #30363d;
    --accent: #6cb9d9; --contrast: #ef9a62;
    --s0: #6cb9d9; --s1: #3c7895; --s2: #ef9a62; --s3: #a3673f; --s4: #8f8b82; --s5: #55524c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 var(--serif); }
main { max-width: 47rem; margin: 0 auto; padding: 3.5rem 1.25rem 3rem; }
header { margin-bottom: 2.25rem; }
.kicker { margin: 0 0 .75rem; font: 600 .8125rem/1.4 var(--sans); letter-spacing: .02em;
  color: var(--accent); }
h1 { margin: 0 0 1rem; font: 600 2.375rem/1.15 var(--serif); letter-spacing: -.012em;
  text-wrap: balance; overflow-wrap: anywhere; }
.lead { margin: 0; font-size: 1.1875rem; line-height: 1.55; color: var(--ink); max-width: 40rem; }
section { margin-top: 3.25rem; }
h2 { margin: 0 0 .75rem; font: 600 1.4375rem/1.25 var(--serif); letter-spacing: -.006em; }
h3 { margin: 0 0 .5rem; font: 600 .9375rem/1.35 var(--sans); }
p { margin: 0 0 1rem; max-width: 40rem; overflow-wrap: anywhere; }
.note, figcaption, .interval, caption, dt { font: .8125rem/1.45 var(--sans); color: var(--soft); }
.note { margin: 0 0 .375rem; }
.made { margin: 0 0 1rem; max-width: none; font: .75rem/1.5 var(--mono); color: var(--soft); }
header .made { margin: 1rem 0 0; }
.made code { display: block; font: inherit; padding-left: 1.25em; text-indent: -1.25em; }
.made code::before { content: "$ "; user-select: none; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: 0 1.5rem; margin: 1.5rem 0; }
.figure { border-top: 2px solid var(--rule); padding: .75rem 0 1.125rem; break-inside: avoid;
  min-width: 0; }
.figure.accent { border-top-color: var(--accent); }
.figure.contrast { border-top-color: var(--contrast); }
.figure .label { font: 600 .8125rem/1.35 var(--sans); }
.figure .value { margin: .125rem 0 .0625rem; font: 600 2rem/1.15 var(--sans);
  font-variant-numeric: tabular-nums; letter-spacing: -.02em; overflow-wrap: anywhere; }
.figure.accent .value { color: var(--accent); }
.figure.contrast .value { color: var(--contrast); }
.figure .unit { font-size: 1.0625rem; font-weight: 500; letter-spacing: 0; }
.figure .interval { font-variant-numeric: tabular-nums; }
.figure .note { margin: .375rem 0 0; }

.chart { margin: 1.75rem 0 2rem; padding: 0; break-inside: avoid; }
.chart h3 { margin-bottom: .75rem; }
figcaption { margin-top: .75rem; max-width: 40rem; }
svg { display: block; width: 100%; overflow: visible; }
svg text { font: 12px var(--sans); fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.over { paint-order: stroke; stroke: var(--paper); stroke-width: 4px;
  stroke-linejoin: round; }
svg text.value { font-size: 13px; font-weight: 600; fill: var(--ink); }
.barhead { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem;
  margin: .875rem 0 .25rem; font: .8125rem/1.4 var(--sans); font-variant-numeric: tabular-nums; }
.barhead .name { overflow-wrap: anywhere; min-width: 0; }
.barhead .amount { font-weight: 600; margin-left: auto; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.whisker { stroke: var(--ink); stroke-width: 1.5; }
.track { fill: var(--rule); opacity: .55; }
.fill-accent { fill: var(--accent); } .fill-contrast { fill: var(--contrast); }
.fill-neutral { fill: var(--soft); }
.area { fill: var(--accent); opacity: .13; }
.line-accent, .line-contrast, .line-neutral { fill: none; stroke-width: 2; stroke-linejoin: round;
  vector-effect: non-scaling-stroke; }
.line-accent { stroke: var(--accent); } .line-contrast { stroke: var(--contrast); }
.line-neutral { stroke: var(--soft); }
.line-s0, .line-s1, .line-s2, .line-s3, .line-s4, .line-s5 { fill: none; stroke-width: 2;
  stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.line-s0 { stroke: var(--s0); } .line-s1 { stroke: var(--s1); } .line-s2 { stroke: var(--s2); }
.line-s3 { stroke: var(--s3); } .line-s4 { stroke: var(--s4); } .line-s5 { stroke: var(--s5); }
.dot { fill: var(--paper); stroke: var(--accent); stroke-width: 2; }
.dot.front { fill: var(--accent); }
svg text.number { font-size: 11px; font-weight: 600; fill: var(--accent); }
svg text.number.front { fill: var(--paper); }
.legend.points { display: block; }
rect[class^="s"] { stroke: var(--paper); stroke-width: 1; }
.s0 { fill: var(--s0); background: var(--s0); } .s1 { fill: var(--s1); background: var(--s1); }
.s2 { fill: var(--s2); background: var(--s2); } .s3 { fill: var(--s3); background: var(--s3); }
.s4 { fill: var(--s4); background: var(--s4); } .s5 { fill: var(--s5); background: var(--s5); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.125rem; margin: .75rem 0 0; padding: 0;
  list-style: none; font: .8125rem/1.5 var(--sans); font-variant-numeric: tabular-nums; }
.legend b { font-weight: 600; }
.legend .amount { color: var(--soft); }
.swatch { display: inline-block; width: .6875rem; height: .6875rem; margin-right: .4375rem;
  border-radius: 2px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.strips { display: grid; grid-template-columns: max-content 1fr; gap: 4px .75rem;
  align-items: center; font: .8125rem/1.2 var(--sans); }
.strips .ends { display: flex; justify-content: space-between; color: var(--soft); }
.strips .cell { fill: var(--accent); } .strips .hole { fill: none; stroke: var(--rule); }

.table { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; width: 100%; font: .875rem/1.45 var(--sans);
  font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; max-width: calc(100vw - 2rem); }
th, td { padding: .4375rem 0 .4375rem 1rem; text-align: right; vertical-align: baseline;
  border-bottom: 1px solid var(--rule); font-weight: 400; }
th:first-child { text-align: left; padding-left: 0; }
thead th { font-weight: 600; border-bottom: 1px solid var(--soft); }
td { white-space: nowrap; }
tbody th { overflow-wrap: break-word; }

.exchange { margin: 1.5rem 0 2rem; }
.prompt { margin: 0 0 .875rem; padding-left: .875rem; border-left: 2px solid var(--rule);
  white-space: pre-wrap; }
.who { display: block; font: .8125rem/1.45 var(--sans); color: var(--soft); }
.quotes { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr));
  gap: 1.125rem 1.5rem; }
.quote { border-top: 2px solid var(--rule); padding-top: .75rem; min-width: 0;
  break-inside: avoid; }
.quote.accent { border-top-color: var(--accent); }
.quote.contrast { border-top-color: var(--contrast); }
.quote .words { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate;
  font-size: 1rem; line-height: 1.55; }
.quote .note { margin-top: .625rem; }

.commands { margin: .25rem 0 1.25rem; padding: .75rem .875rem; border: 1px solid var(--rule);
  border-radius: 4px; background: var(--card); font: .8125rem/1.6 var(--mono);
  white-space: pre-wrap; overflow-wrap: anywhere; }
.commands code { font: inherit; }
.commands .line { display: inline-block; padding-left: 1.5em; text-indent: -1.5em; }
.commands .line::before { content: "$ "; color: var(--soft); user-select: none; }

footer { margin-top: 3.75rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
footer h2 { font: 600 .9375rem/1.35 var(--sans); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: .625rem 1.5rem;
  margin: 0 0 1.25rem; }
dd { margin: 0; font: .8125rem/1.45 var(--sans); overflow-wrap: anywhere; }
@media (min-width: 56rem) {  /* a wide table takes more room than the text */
  .table { width: max-content; min-width: 100%; max-width: min(76rem, 100vw - 2rem);
    margin-left: 50%; transform: translateX(-50%); }
}
@media (max-width: 30rem) {
  main { padding: 1.75rem 1rem 2rem; }
  h1 { font-size: 1.8125rem; }
  .lead { font-size: 1.0938rem; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 1.125rem; }
  .figure .value { font-size: 1.625rem; }
  section { margin-top: 2.5rem; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444;
    --rule: #ccc; --accent: #0b6285; --contrast: #b14a0c; --s0: #0b6285; --s1: #5b9bb8;
    --s2: #b14a0c; --s3: #d99a6c; --s4: #6d6a63; --s5: #b9b4a8; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  .table { overflow: visible; break-inside: avoid; width: auto; min-width: 0; max-width: none;
    margin-left: 0; transform: none; }
  caption { max-width: none; }
  .exchange, tr, footer { break-inside: avoid; }
  table { font-size: 8.5pt; }
  table:has(thead th:nth-child(8)) { font-size: 7pt; }
  table:has(thead th:nth-child(8)) :is(th, td) { padding-left: .5rem; }
  td { white-space: normal; }
  h2, h3, .made { break-after: avoid; break-inside: avoid; }
  svg, .swatch { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

}  // namespace checkbit
