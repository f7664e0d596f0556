// VMware's way from a guest to its hypervisor: an I/O port that does not really exist.
#include "CLinux.h"

#include <errno.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/io.h>

enum { PORT = 0x5658, HYPERVISOR = 1 << 31, HYPERVISOR_LEAF = 0x40000000 };

static bool is_vmware(void)
{
    unsigned leaf, name[3], rest;
    if (!__get_cpuid(1, &leaf, &rest, &name[0], &name[1]) || !(name[0] & HYPERVISOR))
        return false;
    __cpuid(HYPERVISOR_LEAF, leaf, name[0], name[1], name[2]);
    return memcmp(name, "VMwareVMware", sizeof name) == 0;
}

int firstlight_backdoor(struct firstlight_backdoor_registers *r)
{
    // Anywhere else the instruction would be a fault, or reach a device.
    if (!is_vmware())
        return -ENODEV;
    // Some hosts let only those through who might use a real port as well.
    (void)ioperm(PORT, 1, 1);
    r->edx = (r->edx & 0xffff0000) | PORT;
    __asm__ volatile("inl %%dx, %%eax"
                     : "+a"(r->eax), "+b"(r->ebx), "+c"(r->ecx), "+d"(r->edx), "+S"(r->esi), "+D"(r->edi)
                     :
                     : "memory", "cc");
    return 0;
}
#else
int firstlight_backdoor(struct firstlight_backdoor_registers *r)
{
    (void)r;
    return -ENODEV;
}
#endif
