/* How long the stages of a request took. */
#ifndef SERVER_TIMES_H
#define SERVER_TIMES_H

/* Seconds of wall time; trunk and branches are those of the run that the request was part of. */
struct times {
    double queue, decode, preprocess, trunk, branches, total;
};

#endif
