/* SPDX-License-Identifier: Apache-2.0 */
/* style.c - how a report looks: on a desk, on a phone, at night, on paper. */
#include "report/page.h"

/* Told apart by people with any colour vision in neighbouring pairs; at least 4.5 : 1 on white. */
const char *const pri_report_colours[PRI_REPORT_COLOURS] = {
    "#1f5fae", "#b04a12", "#23754a", "#85388c", "#7d6410", "#0b7078", "#b0355a", "#555e6a"};

/* Colours by name, then what the plots use. */
const char pri_plot_style[] =
    ":root{--paper:#ffffff;--page:#f7f6f2;--ink:#23221f;--soft:#66645e;--line:#e3e1da;"
    "--strong:#8d8b84;--good:#1f7044;--bad:#a8331f;--track:#e9e7e0;"
    "--c0:#1f5fae;--c1:#b04a12;--c2:#23754a;--c3:#85388c;--c4:#7d6410;--c5:#0b7078;--c6:#b0355a;"
    "--c7:#555e6a}\n"
    "@media (prefers-color-scheme:dark){:root{--paper:#1d1f22;--page:#151719;--ink:#e8e6e1;"
    "--soft:#a3a19a;--line:#34373b;--strong:#7c7f84;--good:#7fce9c;--bad:#f2947f;--track:#34373b;"
    "--c0:#86b6f3;--c1:#f0a573;--c2:#84d3a4;--c3:#d9a3e3;--c4:#dcc36c;--c5:#74d2da;--c6:#f29fb9;"
    "--c7:#b0b8c4}}\n"
    ".f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}"
    ".f4{fill:var(--c4)}.f5{fill:var(--c5)}.f6{fill:var(--c6)}.f7{fill:var(--c7)}\n"
    ".s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}"
    ".s4{stroke:var(--c4)}.s5{stroke:var(--c5)}.s6{stroke:var(--c6)}.s7{stroke:var(--c7)}\n"
    ".t0{fill:var(--c0)}.t1{fill:var(--c1)}.t2{fill:var(--c2)}.t3{fill:var(--c3)}"
    ".t4{fill:var(--c4)}.t5{fill:var(--c5)}.t6{fill:var(--c6)}.t7{fill:var(--c7)}\n"
    ".paper{fill:var(--paper)}.grid{stroke:var(--line)}.axis,.level{stroke:var(--strong)}"
    ".dot{stroke:var(--paper);stroke-width:1.5}.leader{opacity:.7}"
    ".tick,.name,.value{fill:var(--soft)}.halo{stroke:var(--paper);stroke-width:4;"
    "paint-order:stroke}.label{font-weight:600}.value{font-weight:400}"
    ".plot text{font-variant-numeric:tabular-nums}\n";

const char *const pri_report_style[] = {
    /* text */
    "*{box-sizing:border-box}\n"
    "html{-webkit-text-size-adjust:100%}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"
    "\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif}\n"
    "main{max-width:70rem;margin:0 auto;padding:3.5rem 1.5rem 4rem}\n"
    "header{max-width:46rem}\n"
    ".eyebrow{margin:0 0 .5rem;color:var(--soft);font-size:.8125rem;letter-spacing:.08em;"
    "text-transform:uppercase}\n"
    "h1{margin:0;font-size:clamp(1.75rem,1.2rem + 2.4vw,2.75rem);line-height:1.15;"
    "letter-spacing:-.02em;font-weight:650;overflow-wrap:anywhere}\n"
    ".lead{margin:1rem 0 0;font-size:1.125rem;color:var(--soft);overflow-wrap:anywhere}\n"
    "section,footer{margin-top:3rem}\n"
    "h2{margin:0 0 .25rem;font-size:1.25rem;line-height:1.3;font-weight:650;"
    "letter-spacing:-.01em}\n"
    ".note{margin:0 0 1rem;color:var(--soft);font-size:.9375rem;max-width:46rem}\n"
    ".hidden,caption{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;"
    "clip-path:inset(50%);white-space:nowrap}\n"
    "small{font-size:.8125em;color:var(--soft);font-weight:400}\n",
    /* verdicts */
    ".verdicts{margin-top:2rem;padding:1.25rem 1.5rem;background:var(--paper);"
    "border:1px solid var(--line);border-left:4px solid var(--bad);border-radius:.5rem}\n"
    ".verdicts.all-met{border-left-color:var(--good)}\n"
    ".verdicts ul{list-style:none;margin:.75rem 0 0;padding:0;font-size:.9375rem}\n"
    ".verdicts li{display:grid;grid-template-columns:1.25rem 4.75rem 1fr;padding:.2rem 0;"
    "font-variant-numeric:tabular-nums;overflow-wrap:anywhere}\n"
    ".yes .mark,.yes .state{color:var(--good)}.no .mark,.no .state{color:var(--bad)}"
    ".state{font-weight:600}\n",
    /* cards */
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(15.5rem,1fr));gap:1rem;"
    "margin-top:1.5rem}\n"
    ".card{padding:1rem 1.25rem 1.125rem;background:var(--paper);border:1px solid var(--line);"
    "border-top:3px solid var(--strong);border-radius:.5rem}\n"
    ".b0{border-top-color:var(--c0)}.b1{border-top-color:var(--c1)}.b2{border-top-color:var(--c2)}"
    ".b3{border-top-color:var(--c3)}.b4{border-top-color:var(--c4)}.b5{border-top-color:var(--c5)}"
    ".b6{border-top-color:var(--c6)}.b7{border-top-color:var(--c7)}\n"
    ".card h3{margin:0 0 .75rem;font-size:1rem;font-weight:650;overflow-wrap:anywhere}\n"
    ".card dl{display:grid;grid-template-columns:1fr 1fr;gap:.75rem 1rem;margin:0}\n"
    ".card dt{color:var(--soft);font-size:.8125rem}\n"
    ".card dd{margin:0;font-size:1.375rem;line-height:1.25;font-weight:600;"
    "font-variant-numeric:tabular-nums}\n"
    ".card dd small{font-size:.8125rem}.card .diff{display:block;min-height:1.25rem}\n"
    ".single .cards{grid-template-columns:minmax(0,42rem)}"
    ".single .card dl{grid-template-columns:repeat(auto-fit,minmax(7rem,1fr))}\n",
    /* plots */
    ".plots{display:flex;flex-wrap:wrap;gap:1rem}\n"
    ".plots .plot{flex:1 1 20rem;max-width:35rem;min-width:0;width:100%;height:auto;"
    "padding:1rem;background:var(--paper);border:1px solid var(--line);border-radius:.5rem}\n"
    ".plot text{font-size:13px}\n",
    /* tables */
    ".scroll{overflow-x:auto;background:var(--paper);border:1px solid var(--line);"
    "border-radius:.5rem;width:fit-content;min-width:min(100%,42rem);max-width:100%}.many "
    ".scroll{width:100%}\n"
    "table{border-collapse:separate;border-spacing:0;width:100%;font-size:.9375rem;font-variant-"
    "numeric:tabular-"
    "nums}\n"
    "th,td{padding:.5rem .875rem;text-align:right;vertical-align:baseline;white-space:nowrap;"
    "border-top:1px solid var(--line)}\n"
    "thead th{border-top:0;border-bottom:1px solid var(--strong);font-weight:600;"
    "font-size:.875rem}\n"
    "tbody tr:first-child>*{border-top:0}\n"
    "th:first-child{text-align:left;font-weight:500;position:sticky;left:0;"
    "background:var(--paper)}\n"
    "\n"
    "thead th:first-child{z-index:1}thead "
    ".run{white-space:normal;line-height:1.3}td{min-width:7.25rem}\n"
    "td .diff{display:inline-block;min-width:3.9em;margin-left:.4em}\n"
    ".better{color:var(--good)}.worse{color:var(--bad)}\n"
    ".words td small{display:block}\n"
    ".key{width:.625rem;height:.625rem;margin-right:.375rem}\n"
    ".bar{display:block;width:100%;height:.375rem;margin-top:.3rem;border-radius:2px}"
    ".track{fill:var(--track)}\n"
    ".kept{display:grid;grid-template-columns:minmax(3.5rem,1fr) 4.5rem;gap:.625rem;"
    "align-items:center}.kept .bar{margin:0;height:.5rem}\n"
    "th.layer{padding-top:.25rem;padding-bottom:.25rem;font-size:.875rem}"
    "th.layer span{display:block;max-width:20rem;overflow:hidden;text-overflow:ellipsis}"
    "th.layer~td{padding-top:.25rem;padding-bottom:.25rem;font-size:.875rem;min-width:9.5rem}\n",
    /* classes */
    "details{margin-top:.75rem}\n"
    "summary{cursor:pointer;padding:.375rem 0;font-weight:500}"
    "summary span{color:var(--soft);font-weight:400;margin-left:.25em}\n",
    /* how it was made */
    "footer{padding-top:1.5rem;border-top:1px solid var(--line);font-size:.9375rem}\n"
    "footer dl{display:grid;grid-template-columns:7rem minmax(0,1fr);gap:.375rem 1rem;"
    "margin:1rem 0 0}footer dt{color:var(--soft)}footer dd{margin:0;overflow-wrap:anywhere}\n"
    "pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}"
    "code{font:.875rem/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}\n"
    "summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--c0);"
    "outline-offset:2px}\n", /* phone */
    "@media (max-width:40rem){main{padding:2rem 1rem 3rem}section,footer{margin-top:2.25rem}"
    ".verdicts{padding:1rem}.verdicts li{grid-template-columns:1.25rem 1fr}"
    ".verdicts li>:last-child{grid-column:2}.plots .plot{padding:.5rem}"
    ".plot text{font-size:15px}.words td{white-space:normal}thead "
    ".run{min-width:6rem}th,td{padding:.5rem .75rem}td{min-width:0}"
    "tbody th:first-child{white-space:normal;min-width:8rem;max-width:11rem}"
    "td .diff{display:block;min-width:0;margin:0}footer dl{grid-template-columns:1fr;gap:.125rem}"
    "footer dd{margin-bottom:.75rem}th.layer span{max-width:8rem;white-space:nowrap}"
    "th.layer~td{min-width:9rem}}\n", /* paper */
    "@media print{:root{--page:#ffffff;--paper:#ffffff;--ink:#000000;--soft:#4a4945;"
    "--line:#d5d3cc;--strong:#77756e;--good:#1f7044;--bad:#a8331f;--track:#e3e1da;"
    "--c0:#1f5fae;--c1:#b04a12;--c2:#23754a;--c3:#85388c;--c4:#7d6410;--c5:#0b7078;--c6:#b0355a;"
    "--c7:#555e6a}body{font-size:10pt}main{max-width:none;padding:0}"
    "section,footer{margin-top:1.5rem}.card,.verdicts,.plot,tr{break-inside:avoid}"
    "h2,thead{break-after:avoid}.scroll{overflow:visible;min-width:0}th,td{padding:.2rem .4rem}"
    "th:first-child{position:static}td,th.layer~td{min-width:0}"
    "table{font-size:8pt}th:first-child,.words td{white-space:normal}"
    "thead th{font-size:8pt}thead .run{min-width:0;overflow-wrap:anywhere}"
    "td .diff{display:block;min-width:0;margin:0}th.layer,th.layer~td{font-size:8pt}"
    "th.layer span{max-width:9rem;white-space:nowrap}"
    ".kept{grid-template-columns:minmax(2rem,1fr) 3.25rem;gap:.375rem}"
    "details:not([open])::details-content{content-visibility:visible;block-size:auto}}\n",
    NULL};
