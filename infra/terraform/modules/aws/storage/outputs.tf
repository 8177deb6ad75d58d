output "bucket" {
  description = "Bucket of GENAI_FILES_URL."
  value       = aws_s3_bucket.files.bucket
}

output "bucket_arn" {
  description = "ARN of that bucket."
  value       = aws_s3_bucket.files.arn
}

output "logs_bucket" {
  description = "Bucket of access logs."
  value       = aws_s3_bucket.logs.bucket
  depends_on  = [aws_s3_bucket_policy.logs]
}
