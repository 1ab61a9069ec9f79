package dev.lacuna.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ArchiveTest {
    @TempDir
    Path folder;

    private Path zip(Map<String, byte[]> members) throws Exception {
        Path zip = folder.resolve("a.zip");
        try (ZipOutputStream stream = new ZipOutputStream(Files.newOutputStream(zip))) {
            for (Map.Entry<String, byte[]> member : members.entrySet()) {
                stream.putNextEntry(new ZipEntry(member.getKey()));
                stream.write(member.getValue());
                stream.closeEntry();
            }
        }
        return zip;
    }

    private String extract(Path zip, String member, long bytes) throws Exception {
        try (Archive archive = Archive.open(zip)) {
            return archive.extract(member, folder.resolve("out/m.bin"), bytes, null, Progress.NONE);
        }
    }

    private void assertRefused(Path zip, String member, long bytes, String why) throws Exception {
        FetchException refused = assertThrows(FetchException.class, () -> extract(zip, member, bytes));
        assertTrue(refused.getMessage().contains(why), refused.getMessage());
        if (Files.exists(folder.resolve("out"))) {
            try (Stream<Path> left = Files.list(folder.resolve("out"))) {
                assertEquals(0, left.count(), "nothing is left");
            }
        }
    }

    @Test
    void aMemberGoesWhereTheCallerSaysWhateverItsName() throws Exception {
        byte[] content = DownloadTest.random(1000, 1);
        Path zip = zip(Map.of("../../evil.bin", content));
        assertEquals(DownloadTest.sha256(content), extract(zip, "../../evil.bin", 1000));
        assertArrayEquals(content, Files.readAllBytes(folder.resolve("out/m.bin")));
    }

    @Test
    void bombsAreRefusedByTheirRatio() throws Exception {
        assertRefused(zip(Map.of("m", new byte[50 << 20])), "m", -1, "zip bomb");
    }

    @Test
    void aSizeThatIsNotTheExpectedIsRefused() throws Exception {
        assertRefused(zip(Map.of("m", new byte[100])), "m", 99, "99 were expected");
    }

    @Test
    void anAbsentMemberAndAFolderAreRefused() throws Exception {
        assertRefused(zip(Map.of("m/", new byte[0])), "m/", -1, "no member");
        assertRefused(zip(Map.of("m", new byte[1])), "x", -1, "no member x");
    }

    @Test
    void whatClaimsLessThanItHoldsIsRefused() throws Exception {
        byte[] content = DownloadTest.random(100_000, 2);
        Path zip = zip(Map.of("m", content));
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(zip)).order(ByteOrder.LITTLE_ENDIAN);
        // the directory's record of the member: signature PK\1\2, uncompressed size at 24
        int directory = -1;
        for (int at = bytes.capacity() - 46; at >= 0 && directory < 0; at--) {
            if (bytes.getInt(at) == 0x02014b50) directory = at;
        }
        assertEquals(100_000, bytes.getInt(directory + 24));
        bytes.putInt(directory + 24, 500);
        Files.write(zip, bytes.array());
        FetchException refused = assertThrows(FetchException.class, () -> extract(zip, "m", -1));
        assertTrue(refused.getMessage().contains("more than the 500 bytes") || refused.getMessage().contains("damaged"), refused.getMessage());
    }

    @Test
    void aDamagedOrForeignFileIsRefused() throws Exception {
        Path zip = zip(Map.of("m", DownloadTest.random(10_000, 3)));
        byte[] bytes = Files.readAllBytes(zip);
        for (int at = 100; at < 5000; at++) bytes[at] = 0;
        Files.write(zip, bytes);
        assertRefused(zip, "m", -1, "damaged");
        assertRefused(Files.writeString(folder.resolve("a.zip"), "no zip"), "m", -1, "no zip archive");
    }
}
