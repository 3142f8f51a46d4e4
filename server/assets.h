/* Files of the directory api/ that are part of the program. */
#ifndef SERVER_ASSETS_H
#define SERVER_ASSETS_H

#include <stddef.h>

struct asset {
    const char *bytes; /* they do not end with 0 */
    size_t size;
};

struct asset asset_page(void);    /* page.html */
struct asset asset_openapi(void); /* openapi.yaml */

#endif
