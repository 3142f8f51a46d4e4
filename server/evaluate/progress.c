#include "server/evaluate/progress.h"

#include "server/clock.h"

#include <unistd.h>

enum { WIDTH = 30, TERMINAL_MS = 100, ELSEWHERE_MS = 10000 };

void progress_begin(struct progress *progress, FILE *out)
{
    *progress = (struct progress){.out = out, .terminal = isatty(fileno(out)), .begun = clock_now()};
    progress->shown = progress->begun;
}

static void show_bar(FILE *out, double done)
{
    fputc('[', out);
    for (int i = 0; i < WIDTH; i++)
        fputc(i < (int)(done * WIDTH) ? '=' : i == (int)(done * WIDTH) ? '>' : ' ', out);
    fputs("] ", out);
}

void progress_show(struct progress *progress, double done, size_t pictures)
{
    uint64_t now = clock_now();
    double seconds = (double)(now - progress->begun) / 1e9;

    if (now - progress->shown < (progress->terminal ? TERMINAL_MS : ELSEWHERE_MS) * UINT64_C(1000000))
        return;
    progress->shown = now;
    if (progress->terminal) {
        fputc('\r', progress->out);
        show_bar(progress->out, done);
    }
    fprintf(progress->out, "%3.0f %%  %zu pictures, %.0f/s", 100 * done, pictures, (double)pictures / seconds);
    if (done > 0.01)
        fprintf(progress->out, ", %.0f s to go", seconds * (1 - done) / done);
    fputs(progress->terminal ? "\033[K" : "\n", progress->out);
    fflush(progress->out);
}

void progress_end(struct progress *progress)
{
    if (progress->terminal)
        fputs("\r\033[K", progress->out);
}
