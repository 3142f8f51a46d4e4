/* The signals of `espalier serve`: SIGTERM and SIGINT end it, the second one at once; SIGHUP has the networks,
 * certificates and tokens read anew. One service for each process. */
#ifndef SERVER_SIGNALS_H
#define SERVER_SIGNALS_H

enum signals_word { SIGNALS_END, SIGNALS_RELOAD };

/* From now on they are caught. */
void signals_catch(void);

/* Waits for the next one. Several SIGHUPs may be one word. For one thread. */
enum signals_word signals_wait(void);

#endif
