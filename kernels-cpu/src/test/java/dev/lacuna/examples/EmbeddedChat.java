package dev.lacuna.examples;

import dev.lacuna.*;

public class EmbeddedChat {
    public static void main(String[] args) {
        try (var model = Lacuna.open("smollm2-135m-instruct"); var chat = model.chat()) {
            var answer = chat.send("Why is the sky blue?");
            int pieces = 0;
            for (String piece : answer) {
                System.out.print(piece);
                if (++pieces == 60) answer.cancel(); // enough for a demonstration
            }
        }
    }
}
