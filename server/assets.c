#include "server/assets.h"

#include "assets_stamp.h" /* made by the build: this file is compiled again when the embedded ones change */

/* The assembler reads the files when this file is compiled; ESP_API_DIR is where they are. */
#define EMBED(symbol, file)                                                                                            \
    __asm__(".pushsection .rodata\n"                                                                                   \
            ".global " #symbol "\n.hidden " #symbol "\n" #symbol ":\n"                                                 \
            ".incbin \"" ESP_API_DIR "/" file "\"\n"                                                                   \
            ".global " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n"                                     \
            ".byte 0\n"                                                                                                \
            ".popsection\n");                                                                                          \
    extern const char symbol[], symbol##_end[]

EMBED(esp_asset_page, "page.html");
EMBED(esp_asset_openapi, "openapi.yaml");

struct asset asset_page(void)
{
    return (struct asset){esp_asset_page, (size_t)(esp_asset_page_end - esp_asset_page)};
}

struct asset asset_openapi(void)
{
    return (struct asset){esp_asset_openapi, (size_t)(esp_asset_openapi_end - esp_asset_openapi)};
}
