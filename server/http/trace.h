/* Where a request stands in a trace that goes through several services: W3C Trace Context, level 1.
 *
 * A request comes with a `traceparent` of its caller, VERSION-TRACE-PARENT-FLAGS in lower-case hexadecimal digits:
 *
 *     00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *
 * We take over the trace and whether it is sampled, and are a span of our own in it; the answer says which. Whatever is
 * not written exactly so counts as absent, and the request begins a trace of its own, which is not sampled. A later
 * version than 00 may have more after the flags, behind another '-', which is not looked at. Thread-safe. */
#ifndef SERVER_HTTP_TRACE_H
#define SERVER_HTTP_TRACE_H

#include <stdbool.h>
#include <stddef.h>

enum { TRACE_ID_DIGITS = 32, SPAN_ID_DIGITS = 16, TRACEPARENT_LENGTH = 55 };

struct trace {
    char trace_id[TRACE_ID_DIGITS + 1];
    char parent_span_id[SPAN_ID_DIGITS + 1]; /* the caller's span; "" where the trace begins here */
    char span_id[SPAN_ID_DIGITS + 1];        /* ours */
    bool sampled;                            /* the caller records this trace */
};

/* `offered` is the header's value ([length], without the blanks around it); NULL where there is none. A request with
 * several such headers has none that is valid. */
void trace_take(struct trace *trace, const char *offered, size_t length);

/* The `traceparent` that names our span. */
void trace_write(const struct trace *trace, char text[TRACEPARENT_LENGTH + 1]);

#endif
