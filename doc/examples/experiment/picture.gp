# usage: gnuplot picture.gp >picture.svg
#
# table.tsv as one picture: perplexity and style over the number of documents.
set terminal svg size 860,340 font "sans-serif,14" background "white"
set datafile separator "\t"
set datafile columnheaders
set border 3 lc rgb "#777777"
set tics nomirror textcolor rgb "#222222"
set grid lc rgb "#e4e4e4" lt 1
set logscale x 2
set xtics (25, 50, 100, 200, 400, 800, 1600)
set xlabel "documents learnt from"
set offsets 0, 0, graph 0.1, 0
unset key
stats "table.tsv" using "documents" nooutput
least = STATS_min
set xrange [least / 1.2:STATS_max * 1.2]
stats "table.tsv" using "ppl" every ::0::0 nooutput
before = STATS_min
stats "table.tsv" using (column("kept") / column("texts") * 100) every ::0::0 nooutput
kept = STATS_min
set multiplot layout 1, 2
set title "perplexity of 100 others" font ",14"
set yrange [0:*]
set label 1 sprintf("before: %.1f", before) at least / 1.15, before offset 0, 0.7 textcolor rgb "#555555"
plot before with lines lc rgb "#777777" dt 2, "table.tsv" using "documents":"ppl" with linespoints lc rgb "#0072b2" lw 2 pt 7 ps 0.8, \
    "" using "documents":"ppl":(sprintf("%.1f", column("ppl"))) with labels offset 0, 1 font ",12"
set title "of these in house style, %"
set yrange [0:100]
set label 1 sprintf("before: %.0f", kept) at least / 1.15, kept
plot kept with lines lc rgb "#777777" dt 2, "table.tsv" using "documents":(100 * column("kept") / column("texts")) with linespoints lc rgb "#d55e00" lw 2 pt 7 ps 0.8, \
    "" using "documents":(100 * column("kept") / column("texts")):(sprintf("%.0f", 100 * column("kept") / column("texts"))) with labels offset 0, 1 font ",12"
