#include "server/http/request_id.h"

#include "server/http/random_hex.h"

#include <ctype.h>
#include <string.h>

enum { MADE_DIGITS = 32 };

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

void request_id_choose(char id[REQUEST_ID_MAX + 1], const char *offered, size_t length)
{
    if (!clean(offered, length)) {
        random_hex(id, MADE_DIGITS);
        return;
    }
    memcpy(id, offered, length);
    id[length] = '\0';
}
