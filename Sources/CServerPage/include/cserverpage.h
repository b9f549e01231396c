#ifndef CSERVERPAGE_H
#define CSERVERPAGE_H

/// A file of the page; `name` is null behind the last one.
typedef struct {
    const char *_Nullable name;
    const unsigned char *_Nullable bytes;
    long count;
} cserverpage_file;

cserverpage_file cserverpage_file_at(int index);

#endif
