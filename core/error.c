#include "espalier/error.h"

#include <stdarg.h>
#include <stdio.h>

enum esp_status esp_fail(struct esp_error *err, enum esp_status status, const char *format, ...)
{
    if (err && err->status == ESP_OK) {
        va_list args;
        err->status = status;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        for (char *at = err->text; *at; at++) /* quoted names may hold anything */
            if ((unsigned char)*at < 0x20 || *at == 0x7f)
                *at = '?';
    }
    return status;
}
