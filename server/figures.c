#include "server/figures.h"

#include <math.h>
#include <stdio.h>

const char *figure_write(uint64_t value, char *text)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    double scaled = (double)value;
    int unit = 0;

    for (; scaled >= 999.95 && unit < 5; unit++)
        scaled /= 1000;
    snprintf(text, FIGURE_MAX, "%.*f%s", unit == 0 ? 0 : scaled < 9.995 ? 2 : 1, scaled, units[unit]);
    return text;
}

double figure_excluded(uint64_t part, uint64_t whole)
{
    return part < whole ? round((1 - (double)part / (double)whole) * 1e4) / 1e4 : 0;
}

int figure_columns(const char *text)
{
    int count = 0;

    for (; *text; text++)
        count += (*text & 0xc0) != 0x80; /* bytes, but for those that continue a character */
    return count;
}
