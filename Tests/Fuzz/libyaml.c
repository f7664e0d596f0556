// Any bytes as YAML: the events that Butane and the installer's config are read from.
// with: -l:libyaml.a

#include <stdint.h>
#include <string.h>
#include <yaml.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count) {
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) return 0;
    yaml_parser_set_input_string(&parser, data, count);
    for (int done = 0; !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) break;
        if (event.start_mark.index > event.end_mark.index) __builtin_trap();
        if (event.type == YAML_SCALAR_EVENT && strlen((char *)event.data.scalar.value) > event.data.scalar.length)
            __builtin_trap();
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return 0;
}
