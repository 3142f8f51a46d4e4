#include "server/signals.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

/* Handlers rather than blocked signals and sigwait(): a library's own threads, such as OpenBLAS starts when it is
 * loaded, block nothing, and would end the process. */
static sem_t signalled;
static atomic_int ends, reload;

/* The second signal does not wait for anything. */
static void on_end(int number)
{
    (void)number;
    if (atomic_fetch_add(&ends, 1) > 0)
        _exit(1);
    sem_post(&signalled);
}

static void on_hangup(int number)
{
    (void)number;
    if (!atomic_exchange(&reload, 1))
        sem_post(&signalled);
}

void signals_catch(void)
{
    struct sigaction end = {.sa_handler = on_end, .sa_flags = SA_RESTART};
    struct sigaction hangup = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};

    sem_init(&signalled, 0, 0);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGHUP, &hangup, NULL);
}

enum signals_word signals_wait(void)
{
    for (;;) {
        while (sem_wait(&signalled) != 0)
            ; /* interrupted: look again */
        if (atomic_load(&ends) > 0)
            return SIGNALS_END;
        if (atomic_exchange(&reload, 0))
            return SIGNALS_RELOAD;
    }
}
