/* What the bundled network costs, counted by hand from its layers: the engine must come to the same. */
#ifndef ESP_TESTS_BUNDLED_H
#define ESP_TESTS_BUNDLED_H

#include <stdint.h>

/* MACs of a node's segment and of its head, by depth: trunk, realm, group, category. */
static const uint64_t bundled_segment_macs[] = {19243008, 9732096, 8257536, 737280};
static const uint64_t bundled_head_macs[] = {0, 96, 64, 20};

enum {
    BUNDLED_MACS = 19243008 + 4 * 9732096 + 22 * 8257536 + 200 * (737280 + 20),
    BUNDLED_PARAMETERS = 73464 + 4 * 152320 + 22 * 129216 + 200 * (11540 + 21),
    BUNDLED_ONE_MACS = 19243008 + 9732096 + 8257536 + 737280 + 20,
    BUNDLED_ONE_PARAMETERS = 73464 + 152320 + 129216 + 11540 + 21
};

#endif
