#include "server/http/client_address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An IPv4 address is kept as ::ffff:a.b.c.d, behind so many bits. */
enum { MAPPED_BITS = 96, ALL_BITS = 128 };

/* A stretch of a text. */
struct part {
    const char *text;
    size_t length;
};

static struct part trim(struct part part)
{
    while (part.length && strchr(" \t", part.text[0])) {
        part.text++;
        part.length--;
    }
    while (part.length && strchr(" \t", part.text[part.length - 1]))
        part.length--;
    return part;
}

/* ---- addresses ---- */

static struct in6_addr mapped(const struct in_addr *ipv4)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(address.s6_addr + 12, ipv4, sizeof *ipv4);
    return address;
}

static bool parse_address(struct part part, struct in6_addr *address)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr ipv4;

    if (part.length >= sizeof text)
        return false;
    memcpy(text, part.text, part.length);
    text[part.length] = '\0';
    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        *address = mapped(&ipv4);
        return true;
    }
    return inet_pton(AF_INET6, text, address) == 1;
}

static void write_address(const struct in6_addr *address, char text[INET6_ADDRSTRLEN])
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        inet_ntop(AF_INET, address->s6_addr + 12, text, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

static bool socket_address(const struct sockaddr *socket, struct in6_addr *address)
{
    if (socket->sa_family == AF_INET)
        *address = mapped(&((const struct sockaddr_in *)socket)->sin_addr);
    else if (socket->sa_family == AF_INET6)
        *address = ((const struct sockaddr_in6 *)socket)->sin6_addr;
    else
        return false;
    return true;
}

/* ---- who is trusted ---- */

static bool bit(const struct in6_addr *address, unsigned number)
{
    return address->s6_addr[number / 8] >> (7 - number % 8) & 1;
}

static bool contains(const struct subnet *network, const struct in6_addr *address)
{
    unsigned whole = network->bits / 8;

    if (IN6_IS_ADDR_V4MAPPED(address) && network->bits < MAPPED_BITS)
        return false;
    if (memcmp(&network->address, address, whole))
        return false;
    for (unsigned i = whole * 8; i < network->bits; i++)
        if (bit(&network->address, i) != bit(address, i))
            return false;
    return true;
}

static bool is_trusted(const struct trusted *trusted, const struct in6_addr *address)
{
    for (size_t i = 0; i < trusted->count; i++)
        if (contains(&trusted->subnets[i], address))
            return true;
    return false;
}

/* Digits only, and not many. */
static bool parse_bits(struct part part, unsigned most, unsigned *bits)
{
    *bits = 0;
    for (size_t i = 0; i < part.length; i++) {
        if (part.text[i] < '0' || part.text[i] > '9')
            return false;
        *bits = *bits * 10 + (unsigned)(part.text[i] - '0');
    }
    return part.length >= 1 && part.length <= 3 && *bits <= most;
}

static bool parse_network(struct part part, struct subnet *network)
{
    const char *slash = memchr(part.text, '/', part.length);
    size_t length = slash ? (size_t)(slash - part.text) : part.length;

    if (!parse_address((struct part){part.text, length}, &network->address))
        return false;
    network->bits = ALL_BITS;
    if (!slash)
        return true;
    bool ipv4 = IN6_IS_ADDR_V4MAPPED(&network->address);
    if (ipv4 && memchr(part.text, ':', length)) /* ::ffff:10.0.0.0/8 or /104? */
        return false;
    if (!parse_bits((struct part){slash + 1, part.length - length - 1}, ipv4 ? 32 : ALL_BITS, &network->bits))
        return false;
    network->bits += ipv4 ? MAPPED_BITS : 0;
    return true;
}

/* Clears what is behind the mask; whether anything was set there. */
static bool clear_behind(struct subnet *network)
{
    bool any = false;

    for (unsigned i = network->bits; i < ALL_BITS; i++)
        if (bit(&network->address, i)) {
            network->address.s6_addr[i / 8] &= (uint8_t) ~(1u << (7 - i % 8));
            any = true;
        }
    return any;
}

static enum esp_status fail_behind(struct part part, const struct subnet *network, struct esp_error *err)
{
    const char *slash = memchr(part.text, '/', part.length);
    int address = (int)(slash - part.text);
    char text[INET6_ADDRSTRLEN];

    write_address(&network->address, text);
    return esp_fail(err, ESP_ERROR_ARGUMENT,
                    "trusted-proxies: '%.*s' has bits set behind its mask; write %s%.*s for the network or %.*s for "
                    "the one address",
                    (int)part.length, part.text, text, (int)part.length - address, slash, address, part.text);
}

static enum esp_status add_network(struct trusted *trusted, struct part part, struct esp_error *err)
{
    struct subnet network;

    if (!parse_network(part, &network))
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "trusted-proxies: '%.*s' is no address or network; write 192.0.2.7, 10.0.0.0/8, ::1 or "
                        "fd00::/8, with commas between",
                        part.length > 64 ? 64 : (int)part.length, part.text);
    if (clear_behind(&network))
        return fail_behind(part, &network, err);
    if (trusted->count == TRUSTED_SUBNETS_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "trusted-proxies: there are more than %d; write larger networks instead", TRUSTED_SUBNETS_MAX);
    trusted->subnets[trusted->count++] = network;
    return ESP_OK;
}

enum esp_status trusted_parse(const char *list, struct trusted *trusted, struct esp_error *err)
{
    enum esp_status status = ESP_OK;

    trusted->count = 0;
    if (list[strspn(list, " \t")] == '\0')
        return ESP_OK;
    while (status == ESP_OK) {
        size_t length = strcspn(list, ",");
        status = add_network(trusted, trim((struct part){list, length}), err);
        if (list[length] == '\0')
            break;
        list += length + 1;
    }
    return status;
}

/* ---- who the client is ---- */

void forwarded_add(struct forwarded *forwarded, const char *value)
{
    if (forwarded->count == FORWARDED_HEADERS_MAX) {
        forwarded->count--;
        memmove(forwarded->values, forwarded->values + 1, forwarded->count * sizeof *forwarded->values);
    }
    forwarded->values[forwarded->count++] = value;
}

static bool is_port(const char *text, const char *end)
{
    if (text == end || end - text > 5)
        return false;
    for (; text < end; text++)
        if (*text < '0' || *text > '9')
            return false;
    return true;
}

/* ADDRESS, IPV4:PORT, [IPV6] or [IPV6]:PORT. */
static bool parse_element(struct part part, struct in6_addr *address)
{
    const char *end = part.text + part.length;
    const char *colon = memchr(part.text, ':', part.length);

    if (part.length && part.text[0] == '[') {
        const char *close = memchr(part.text, ']', part.length);
        if (!close || (close + 1 < end && (close[1] != ':' || !is_port(close + 2, end))))
            return false;
        return parse_address((struct part){part.text + 1, (size_t)(close - part.text - 1)}, address);
    }
    if (colon && !memchr(colon + 1, ':', (size_t)(end - colon - 1))) { /* one colon: no IPv6 address has so few */
        if (!is_port(colon + 1, end))
            return false;
        part.length = (size_t)(colon - part.text);
    }
    return parse_address(part, address);
}

/* Takes the last element of `list` off its end. */
static struct part last_element(struct part *list)
{
    const char *comma = memrchr(list->text, ',', list->length);
    size_t begin = comma ? (size_t)(comma + 1 - list->text) : 0;
    struct part element = {list->text + begin, list->length - begin};

    list->length = comma ? begin - 1 : 0;
    return trim(element);
}

/* Goes left through one header while all are trusted; false where the search is over. Empty elements are none, as in
 * every list of HTTP. */
static bool walk(const struct trusted *trusted, const char *value, unsigned *hops, struct in6_addr *client)
{
    struct part list = {value, strlen(value)};

    while (list.length > 0) {
        struct part element = last_element(&list);
        if (++*hops > FORWARDED_HOPS_MAX)
            return false;
        if (element.length == 0)
            continue;
        struct in6_addr address;
        if (!parse_element(element, &address))
            return false;
        *client = address;
        if (!is_trusted(trusted, &address))
            return false;
    }
    return true;
}

void client_address(const struct trusted *trusted, const struct sockaddr *peer, const struct forwarded *forwarded,
                    char text[INET6_ADDRSTRLEN])
{
    struct in6_addr client;
    unsigned hops = 0;
    size_t left = forwarded->count;

    text[0] = '\0';
    if (!socket_address(peer, &client))
        return;
    if (is_trusted(trusted, &client))
        while (left > 0 && walk(trusted, forwarded->values[left - 1], &hops, &client))
            left--;
    write_address(&client, text);
}
