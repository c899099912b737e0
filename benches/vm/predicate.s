# A detection predicate over a 64-byte record: 61 instructions, all but one executed when it matches.
#  0 u16 kind   2 u16 flags   4 u32 pid   8 u32 parent  12 u32 user  16 u64 start time, ns  24 u32 address
# 28 u16 port  30 u16 local port  32 u64 image digest  40 u64 parent digest  48 16 bytes name
    mov r0, 0
    ldxh r2, [r1+0]
    jne r2, 7, exit
    ldxh r3, [r1+2]
    mov r4, r3
    and r4, 0x30
    jne r4, 0x30, exit
    rsh r3, 8
    jgt r3, 6, exit
    ldxw r4, [r1+4]
    jlt r4, 300, exit
    ldxw r5, [r1+8]
    jeq r5, 1, exit
    jge r5, r4, exit
    ldxw r6, [r1+12]
    jeq r6, 0, exit
    jgt r6, 60000, exit
    ldxdw r7, [r1+16]
    lddw r8, 0x17a0000000000000
    jlt r7, r8, exit
    mov r8, r7
    rsh r8, 48
    jgt r8, 0x1800, exit
    ldxw r2, [r1+24]
    mov r3, r2
    and r3, 0xff
    jeq r3, 10, exit
    jeq r3, 127, exit
    mov r3, r2
    and r3, 0xffff
    jeq r3, 0xa8c0, exit
    ldxh r4, [r1+28]
    jeq r4, 4444, port
    jne r4, 8443, exit
port:
    ldxh r5, [r1+30]
    jlt r5, 1024, exit
    ldxdw r6, [r1+32]
    lddw r7, 0x0102030405060708
    jeq r6, r7, exit
    mov r8, r6
    xor r8, r7
    rsh r8, 60
    jeq r8, 0, exit
    ldxdw r2, [r1+40]
    jeq r2, r6, exit
    ldxdw r3, [r1+48]
    lddw r4, 0x6e69622f7273752f
    jne r3, r4, exit
    ldxdw r5, [r1+56]
    lddw r6, 0x0000007461636e2f
    jne r5, r6, exit
    ldxb r7, [r1+3]
    and r7, 2
    jeq r7, 0, exit
    mov r8, r4
    add r8, r5
    and r8, 0x7f
    jgt r8, 0x7e, exit
    mov r0, 1
    exit
exit:
    exit
