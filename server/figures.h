/* Figures as people like to read them: "295.9 M", "4.31 M", "442 k". */
#ifndef ESPALIER_SERVER_FIGURES_H
#define ESPALIER_SERVER_FIGURES_H

#include <stdint.h>

enum { FIGURE_MAX = 16 };

/* Writes `value` with three or four digits and a unit of thousands to `text`, which has FIGURE_MAX bytes; returns it.
 */
const char *figure_write(uint64_t value, char *text);

/* The share of `whole` that `part` leaves out, 0 to 1, rounded to four decimals: 0 where the part is larger, as that of
 * a whole network with the scores of its groups on top, or a file with a longer name in it. */
double figure_excluded(uint64_t part, uint64_t whole);

/* How many columns of a terminal a text in UTF-8 takes. */
int figure_columns(const char *text);

#endif
