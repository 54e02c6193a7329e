"""How a reply ended: every provider's word for it, in one table.

A word that is missing here counts as a normal end, and the user is told about it once (`limbeck.teacher.client.attempt`).
"""

from __future__ import annotations

import re
from typing import Literal

Ending = Literal["whole", "truncated", "filtered", "refused", "teacher_failed"]
"""How a reply ended; all but ``whole`` are reasons of rejections."""

# Where the words are documented:
#   OpenAI, Azure     platform.openai.com, "The chat completion object"; incomplete_details of the Responses API
#   Anthropic         docs.claude.com, "Handling stop reasons"
#   Gemini, Vertex    ai.google.dev and cloud.google.com, "FinishReason"; Model Armor
#   Mistral           docs.mistral.ai, "Chat completion", FinishReason
#   Cohere            docs.cohere.com, "Chat", finish_reason of v1 and v2
#   Bedrock           docs.aws.amazon.com, Converse, stopReason; completionReason of the Titan models
#   DeepSeek          api-docs.deepseek.com, "Create chat completion"
#   GLM               docs.z.ai and open.bigmodel.cn, "Chat completion", finish_reason
#   xAI, OpenRouter   docs.x.ai, FinishReason; openrouter.ai/docs, "Finish reason"
#   vLLM, SGLang      FinishReason in v1/engine; FINISH_* in managers/schedule_batch
#   llama.cpp, Ollama stop_type in tools/server; done_reason in docs/api.md
#   TGI               FinishReason in the router's OpenAPI description
#   LM Studio         lmstudio.ai/docs, LLMPredictionStopReason
#   watsonx, Yandex, GigaChat, Aleph Alpha   the API references' stop_reason, status, finish_reason
_WORDS: dict[Ending, str] = {
    "whole": """
        stop end_turn stop_sequence complete completed finished finish normal success
        eos eos_token end_of_text endoftext end_of_sequence eos_found eog_token end_token im_end
        stop_criteria_met stop_string_found stop_sequence_reached stop_trigger word alternative_status_final
        done
    """,
    "truncated": """
        length max_tokens max_length max_len max_output_tokens max_completion_tokens max_new_tokens maximum_tokens
        model_length token_limit tokens_limit context_length context_length_exceeded context_length_reached max_context
        model_context_window_exceeded max_context_length max_predicted_tokens_reached limit error_limit
        incomplete not_finished pause_turn compaction truncated alternative_status_truncated_final
        timeout time_limit
    """,
    "filtered": """
        content_filter content_filtered content_filter_error filtered filter safety image_safety recitation
        image_recitation blocklist blacklist blocked prohibited_content image_prohibited_content spii language
        model_armor guardrail guardrails guardrail_intervened moderation sensitive error_toxic
        alternative_status_content_filter
    """,
    "refused": "refusal refused",
    "teacher_failed": """
        error failed failure abort aborted cancel cancelled canceled user_cancel user_stopped model_unloaded
        insufficient_system_resource network_error other image_other no_image
        malformed_function_call malformed_response malformed_model_output malformed_tool_use missing_thought_signature
        tool_calls tool_call tool_use function_call unexpected_tool_call too_many_tool_calls
        repetition load unload
    """,
}
_PREFIXES = re.compile(r"^(?:finish|stop|completion|done)?reason(?=.)")  # FinishReason.MAX_TOKENS, REASON_MAX_LEN


def _normalise(word: str) -> str:
    """``MAX_TOKENS``, ``max-tokens`` and ``maxTokens`` are the same word."""
    return _PREFIXES.sub("", re.sub(r"[\W_]+", "", word).casefold())


_ENDINGS: dict[str, Ending] = {_normalise(word): ending for ending, words in _WORDS.items() for word in words.split()}


def find_ending(finish_reason: str) -> Ending | None:
    """How a reply with this finish reason ended; None for an unknown word. No word at all is a normal end."""
    word = _normalise(finish_reason)
    return _ENDINGS.get(word) if word else "whole"
