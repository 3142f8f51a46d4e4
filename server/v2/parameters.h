/* Parameters of a request, its inputs and its outputs that are not ours.
 *
 * The protocol allows any, so its clients send some to every server, and some of those mean nothing here: they are
 * ignored. All others are refused, as one that is misspelt would otherwise be without effect, and nobody would know. */
#ifndef SERVER_V2_PARAMETERS_H
#define SERVER_V2_PARAMETERS_H

#include <stdbool.h>

struct json_t;
struct response;

/* Whether it is one to ignore. Here is the list. */
bool parameter_is_foreign(const char *name);

/* Answers and gives false where the parameters of an input or output (`what`) called `name` are no object, or there is
 * one among them that is neither `known` nor foreign. NULL is none at all. */
bool parameters_check(struct json_t *parameters, const char *known, const char *what, const char *name,
                      struct response *response);

#endif
