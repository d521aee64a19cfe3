#pragma once
/* The vDSO's ELF image, whole pages; made at build time by embed.py. */
extern const unsigned char vdso_blob[];
extern const unsigned vdso_blob_size;
