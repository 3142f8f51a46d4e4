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

const char *esp_status_name(enum esp_status status)
{
    switch (status) {
    case ESP_OK: return "ok";
    case ESP_ERROR_ARGUMENT: return "bad argument";
    case ESP_ERROR_MEMORY: return "out of memory";
    case ESP_ERROR_IO: return "input/output error";
    case ESP_ERROR_MODEL: return "invalid model";
    case ESP_ERROR_UNSUPPORTED: return "unsupported";
    case ESP_ERROR_UNKNOWN_NAME: return "unknown name";
    case ESP_ERROR_NAME: return "ambiguous name";
    case ESP_ERROR_WEIGHT: return "bad attention weight";
    case ESP_ERROR_NOTHING_LEFT: return "nothing left to run";
    case ESP_ERROR_NOT_JPEG: return "not a JPEG";
    case ESP_ERROR_UNDECODABLE: return "undecodable image";
    case ESP_ERROR_TOO_LARGE: return "too large";
    }
    return "unknown";
}
