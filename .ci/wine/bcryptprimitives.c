/*
 * bcryptprimitives.dll for Wine. A test aid: built by .ci/windows, put into its Wine prefix, never shipped.
 *
 * Rust's standard library takes random numbers from ProcessPrng, which Windows has since version 10 and Wine 8 has
 * not. This forwards it to RtlGenRandom (exported under the name below), which Wine has.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    return length <= MAXDWORD && SystemFunction036(data, (ULONG)length);
}
