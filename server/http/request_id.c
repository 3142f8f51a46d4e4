#include "server/http/request_id.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Only what can neither break a header nor a log line is taken over. */
static bool clean(const char *text, size_t length)
{
    if (!text || length == 0 || length > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && (text[i] == '\0' || !strchr("._-", text[i])))
            return false;
    return true;
}

static void make(char id[REQUEST_ID_MAX + 1])
{
    uint8_t random[16] = {0};

    if (getrandom(random, sizeof random, 0) < 0)
        random[0] = 0; /* an id is only a name: one that is not unique does no harm */
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(id + 2 * i, 3, "%02x", random[i]);
}

void request_id_choose(char id[REQUEST_ID_MAX + 1], const char *offered, size_t length)
{
    if (!clean(offered, length)) {
        make(id);
        return;
    }
    memcpy(id, offered, length);
    id[length] = '\0';
}
